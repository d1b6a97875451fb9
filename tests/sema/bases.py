"""The specs that the catalogue's mistakes are made in: shipped ones, as they read when the catalogue was written."""

from __future__ import annotations

LEAKY = """\
layer Leaky(d_model)
  input u[d_model]
  param rate[d_model] = -log(1 / uniform(0.5, 0.99) - 1) no_decay
  a = sigmoid(rate)
  state h[d_model]: h = a * prev(h) + (1 - a) * u
  return h
"""

MAMBA = """\
layer Mamba(d_model, d_state = 16, expand = 2, d_conv = 4, dt_rank = ceil(d_model / 16), bias = false, conv_bias = true)
  axis E = expand * d_model, N = d_state, R = dt_rank
  input u[d_model]
  linear in_proj(u -> x_in[E], z[E], bias = bias)
  conv conv1d(x_in, width = d_conv, bias = conv_bias)
  x = silu(conv1d)
  linear x_proj(x -> r[R], B[N], C[N])
  linear dt_proj(r -> dt_raw[E], weight = uniform(-R ** -0.5, R ** -0.5), bias = inv_softplus(log_uniform(1e-3, 1e-1)))
  dt = softplus(dt_raw)
  param A_log[E, N] = log(index(N) + 1) no_decay
  param D[E] = 1 no_decay
  A = -exp(A_log)
  state h[E, N]: h' = A * h + B * x by zoh(A), euler(B), step dt
  y = sum[N](C * h) + D * x
  linear out_proj(y * silu(z) -> [d_model], bias = bias)
  return out_proj
"""

HEADS = """\
layer Retention(d_model, n_heads = 4, gate = true, norm = rms | mean)
  axis H = n_heads, K = d_model // n_heads, V = d_model // n_heads, D = H * V
  input u[d_model]
  input reset = 0
  linear q_proj(u -> q[H, K])
  linear k_proj(u -> k[H, K])
  linear v_proj(u -> v[H, V])
  param log_decay[H] = -(index(H) + 1) / 8 in [-4, 0] fixed
  decay = exp(log_decay) * (1 - reset)
  state S[H, K, V]: S = decay * prev(S) + k * v
  o = sum[K](q * S) * K ** -0.5
  if norm == rms:
    n = rms[V](o)
  else:
    n = layernorm[V](o)
  if gate:
    linear g_proj(u -> g[H, V])
    y[D] = n * silu(g)
  else:
    y[D] = n
  linear out_proj(y -> [d_model])
  return out_proj
"""

COMPLEX = """\
layer Diagonal(d_model, d_state = 32)
  axis H = d_model, N = d_state
  input u[H]
  param A[H, N] complex = hippo_diagonal(lin, N)
  param C[H, N] complex = complex(normal(0, 1), normal(0, 1))
  param log_dt[H] = log_uniform(1e-3, 1e-1)
  param D[H] = normal(0, 1)
  dt = exp(log_dt)
  state h[H, N]: h' = complex(-exp(re(A)), im(A)) * h + u by bilinear, step dt
  y = 2 * re(sum[N](C * h)) + D * u
  return y
"""

BASES = {"leaky": LEAKY, "mamba": MAMBA, "heads": HEADS, "complex": COMPLEX, "": ""}
