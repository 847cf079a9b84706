"""Sphinx extension that leaves thebe out of every page.

Jupyter Book always loads thebe, which runs cells on a server and is fetched from another site. This
book has no such server, and Jupyter Book 1 declares thebe's constants twice, which is an error in
every reader's console.
"""


def without_thebe(scripts: list) -> list:
    """Those of a page's scripts that have nothing to do with thebe.

    scripts : file names or Sphinx's script records, which may carry their source as `body`
    """

    def source(script) -> str:
        attributes = getattr(script, "attributes", {})
        return f"{getattr(script, 'filename', script)} {attributes.get('body', '')}"

    return [script for script in scripts if "thebe" not in source(script).lower()]


def setup(app) -> dict[str, bool]:
    """Sphinx calls this."""

    def clean(app, pagename, templatename, context, doctree):
        context["script_files"] = without_thebe(context["script_files"])

    app.connect("html-page-context", clean, priority=900)  # after the extensions that add scripts
    return {"parallel_read_safe": True, "parallel_write_safe": True}
