"""Small layers, one a feature of the language, that no shipped spec shows: what every level is compared on."""

from __future__ import annotations

SMALL = {
    "complex_state": """
layer ComplexState(d_model, N = 3)
  input u[d_model]
  param lam[d_model, N] complex = complex(uniform(-0.9, -0.1), uniform(-1, 1))
  param C[d_model, N] complex = complex(normal(0, 1), normal(0, 1))
  linear gate(u -> g[d_model])
  state h[d_model, N]: h = exp(lam * sigmoid(g)) * prev(h) + phi1(lam) * u
  return re(sum[N](C * h)) + 2 * im(sum[N](h))
""",
    "complex_result": """
layer ComplexResult(d_model)
  input u[d_model]
  param nu[d_model] = uniform(0.1, 0.9)
  param theta[d_model] = uniform(0, 3)
  state h[d_model]: h = exp(complex(-nu, theta)) * prev(h) + u / complex(1, theta)
  linear mix(re(h) - im(prev(h)) -> w[d_model])
  return w * abs(h + 3)
""",
    "reverse": """
layer Reverse(d_model)
  input u[d_model]
  linear proj(u -> x[d_model], f[d_model])
  b[d_model] = sigmoid(f) * next(b) + x
  state h[d_model]: h = sigmoid(x) * prev(h) + next(x, 1)
  return h * next(b) + u
""",
    "reverse_nonlinear": """
layer ReverseNonlinear(d_model)
  input u[d_model]
  param w[d_model] = uniform(-1, 1)
  b[d_model] = tanh(w * next(b) + u)
  return b * u
""",
    "composite": """
layer Composite(d_model, heads = 2)
  axis H = heads, P = d_model / heads, E = H * P, N = 3
  input u[E]
  linear proj(u -> x[E], B[H, N], C[N], dt_raw[H])
  dt = softplus(dt_raw)
  param A_log[H] = log(index(H) + 1)
  param D[P, H] = 1
  state h[P, N, H]: h = exp(-exp(A_log) * dt) * prev(h) + dt * B * x
  y[E] = sum[N](C * h) + D * x
  return y * silu(x)
""",
    "whole_composite": """
layer WholeComposite(d_model, heads = 2)
  axis H = heads, P = d_model / heads, E = H * P
  input u[E]
  param w[E] = uniform(0, 1)
  state h[E]: h = w * prev(h) + u
  return h
""",
    "two_states": """
layer TwoStates(d_model)
  input u[d_model]
  linear proj(u -> x[d_model], i[d_model], f[d_model])
  state m[d_model]: m = max(f + prev(m), i)
  state c[d_model]: c = exp(f + prev(m) - m) * prev(c) + exp(i - m) * x
  state n[d_model]: n = exp(f + prev(m) - m) * prev(n) + exp(i - m)
  return c / max(abs(n), 0.5)
""",
    "coupled_states": """
layer CoupledStates(d_model)
  input u[d_model]
  param a[d_model] = uniform(0.1, 0.9)
  state p[d_model]: p = a * prev(p) - 0.3 * prev(q) + u
  state q[d_model]: q = 0.2 * p + a * prev(q)
  return p * q
""",
    "chained_states": """
layer ChainedStates(d_model)
  axis N = 2
  input u[d_model]
  linear proj(u -> k[N], v[d_model])
  state s[d_model, N]: s = 0.5 * prev(s) + k * v
  r = rms[d_model](sum[N](k * s), eps = 1e-5)
  state h[d_model]: h = sigmoid(r) * prev(h) + r * prev(v)
  return h
""",
    "class_p": """
layer ClassP(d_model)
  input u[d_model]
  linear proj(u -> x[d_model], z_raw[d_model])
  param a[d_model] = uniform(-1, 1)
  z = sigmoid(z_raw + a * prev(h))
  state h[d_model]: h = z * prev(h) + (1 - z) * tanh(x + a * prev(h))
  return h * z
""",
    "dense": """
layer Dense(d_model)
  axis N = 3, M = N
  input u[d_model]
  linear proj(u -> x[N])
  param W[N, M] = normal(0, 0.3)
  state h[N]: h = tanh(sum[M](W * prev(h)[N as M]) + x)
  return h * sum[N](h) + max[N](h)
""",
    "delta_rule": """
layer DeltaRule(d_model)
  axis K = 2, V = d_model, O = 1
  input u[d_model]
  linear proj(u -> k[K], q[K], v[V], beta_raw[O])
  beta = sum[O](sigmoid(beta_raw))
  state S[K, V]: S = prev(S) - beta * k * sum[K](k * prev(S)) + beta * k * v
  return sum[K](q * S)
""",
    "prev_of_others": """
layer PrevOfOthers(d_model)
  input u[d_model]
  x = silu(u + 0.5 * prev(u, 2))
  xx = prev(prev(x)) - prev(x * x)
  state h[d_model]: h = 0.9 * prev(h) + x * prev(x) + xx
  return h + prev(h) * xx
""",
    "initial_values": """
layer InitialValues(d_model)
  axis N = 2
  input u[d_model]
  param h0[d_model] = normal(0, 1)
  param s0[N] complex = complex(1, normal(0, 1))
  param a[d_model] = uniform(0.1, 0.9)
  state h[d_model]: h = a * prev(h, h0 * a) + u
  state s[d_model, N]: s = complex(0.3, 0.4) * prev(s, s0) + u
  return h + re(sum[N](s * prev(s, s0)))
""",
    "several_results": """
layer SeveralResults(d_model)
  axis N = 2
  input u[d_model]
  linear proj(u -> x[d_model], B[N], C[N], f[d_model])
  state h[d_model, N]: h = sigmoid(f) * prev(h) + B * x
  y = sum[N](C * h) + x
  linear late(y -> w[d_model])
  total = sum[d_model, N](square(h))
  peak = max[N](h)
  return w + prev(y) * total + peak
""",
    "positions": """
layer Positions(d_model, rate: float = 0.25)
  axis N = 3
  input u[d_model]
  input reset = 0
  param w[N] = uniform(0.2, 0.8)
  keep = where(start or reset > 0, 0, 1)
  state h[d_model, N]: h = keep * w * prev(h) + (1 - w) * u / (t + 1) + rate * index(N)
  return mean[N](h) * N
""",
    "no_input": """
layer NoInput(d_model)
  input u[d_model]
  param w[d_model] = uniform(0.2, 0.8)
  state h[d_model]: h = w * prev(h, 1) + w * w
  return h + u
""",
    "no_operand": """
layer NoOperand(d_model)
  input u[d_model]
  param w[d_model] = uniform(0.2, 0.8)
  state h[d_model]: h = w * prev(h, 1) + w * w
  return rms[d_model](h, eps = 1e-5) * u
""",
    "numbers": """
layer Numbers(d_model, rate: float = 0.25)
  input u[d_model]
  k = clip(0.6, -0.7, 0.5) + where(not (rate > 0.5) and rate < 2, rate, 1) + max(0.1, 0.2) * tanh(0.3)
  state h[d_model]: h = k * 0.5 * prev(h) + where(rate > 0.1 or not (rate > 0.2), u, 0) + clip(rate, 0, 1)
  return h + clip(0.6, -0.71, 0.83) * k
""",
    "time_varying_reads": """
layer TimeVaryingReads(d_model)
  axis N = 2, O = 1
  input u[d_model]
  linear proj(u -> q[N], k[N], g_raw[O])
  g = sum[O](g_raw)
  param D[d_model] = 1
  state h[d_model, N]: h' = -exp(D) * softplus(g) * h + k * u by bilinear, step sigmoid(g)
  y = sum[N](q * (h + prev(h))) * sqrt(D * D + 1, clip = 0.1)
  return gelu(y) * D
""",
}
