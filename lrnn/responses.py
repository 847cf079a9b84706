"""What a brief push does to the state of a network, as a derivative that can itself be trained.

For `lrnn.penalties.heterogeneity` and its bounded form, which take the sizes of responses.
"""

import torch

from lrnn._sequences import PHI

ONTO = ("input", "state")


def pulse_responses(model, state, u, *, onto="input"):
    """dh[T]/dp, p a push of each input u[:, 0] or of each entry of the state h[0], in rate form.

    Tangents S of the steps, S <- (1 - a) S + a phi'(z) (m n^T S + w_in), where w_in is in the first
    step only, and only for a push of inputs. After one step, such a response is a phi'(z) w_in: J
    is in it through the saturation alone. Cost: a step of as many trials as there are pushes.

    model : `lrnn.bptt.LowRank` in rate form
    state : (B, N), h[0]
    u : (B, T, D), the input of T steps; zeros for none
    onto : "input", D pushes, or "state", N of them
    Returns : (B, N, D) or (B, N, N), [state, push], differentiable by the parameters of the model
    Raises : ValueError if a shape disagrees or the model is not in rate form
    """
    if model.form != "rate":
        raise ValueError(f"model must be in rate form, got {model.form} form")
    if onto not in ONTO:
        raise ValueError(f"onto must be one of {', '.join(ONTO)}, got {onto!r}")
    m, n, w_in, a = model.m, model.n, model.w_in, model.step.a
    h, u = (torch.as_tensor(each, dtype=m.dtype, device=m.device) for each in (state, u))
    B, N = len(h), model.n_neurons
    if h.shape != (B, N) or u.ndim != 3 or u.shape[::2] != (B, model.n_inputs) or not u.shape[1]:
        raise ValueError(
            f"state and u must have shapes (B, {N}) and (B, T, {model.n_inputs}), T >= 1, got "
            f"{tuple(h.shape)} and {tuple(u.shape)}"
        )
    if onto == "state":
        tangent, pushed = torch.eye(N, dtype=m.dtype, device=m.device).expand(B, N, N), 0.0
    else:
        tangent, pushed = w_in.new_zeros(B, N, w_in.shape[1]), w_in
    for k in range(u.shape[1]):
        z = h @ n @ m.T + u[:, k] @ w_in.T + model.bias
        rate, slope = _value_and_slope(PHI[model.phi], z)
        tangent = (1 - a) * tangent + a * slope[:, :, None] * (m @ (n.T @ tangent) + pushed)
        h, pushed = (1 - a) * h + a * rate, 0.0
    return tangent


def response_sizes(responses):
    """|dh/dp|, the Euclidean norm over neurons of each push's response: (B, D) of (B, N, D)."""
    return torch.linalg.vector_norm(responses, dim=1)


def _value_and_slope(phi, z):
    """phi(z) and phi'(z), both differentiable where z is."""
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = phi(z)
        return value, torch.autograd.grad(value.sum(), z, create_graph=True)[0]
