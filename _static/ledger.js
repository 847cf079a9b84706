// Filters of the ledger page: the table's rows carry what they belong to; the choice is kept in the address.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector(".claims-filter");
  if (!form) return;
  const rows = [...document.querySelectorAll(".claims-ledger tbody tr")];
  const count = document.querySelector(".claims-count");
  const selects = [...form.querySelectorAll("select")];
  const asked = new URLSearchParams(location.search);

  const apply = () => {
    for (const row of rows) {
      row.hidden = selects.some((s) => s.value && row.dataset[s.name] !== s.value);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = `${shown} of ${rows.length} rows`;
  };

  form.addEventListener("change", () => {
    const chosen = new URLSearchParams(selects.filter((s) => s.value).map((s) => [s.name, s.value]));
    history.replaceState(null, "", `?${chosen}${location.hash}`);
    apply();
  });
  for (const select of selects) {
    select.value = asked.get(select.name) ?? "";
    if (select.selectedIndex < 0) select.value = "";
  }
  apply();
});
