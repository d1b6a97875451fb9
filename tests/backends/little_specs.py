"""Little specs, each for one thing the kernel generator must get right."""

from __future__ import annotations

HEAD = "edition 1\nlayer {name}({args})\n"

SPECS: dict[str, str] = {
    # one axis, a coefficient that does not depend on the token
    "leaky": """layer Leaky(d_model)
  input u[d_model]
  param rate[d_model] = 1
  a = exp(-softplus(rate))
  state h[d_model]: h = a * prev(h) + (1 - a) * u
  return h
""",
    # two inner axes, summed together; operands on either
    "two_inner": """layer TwoInner(d_model, n = 3, m = 5)
  axis E = d_model
  input u[d_model]
  linear proj(u -> x[E], k[n], g[m], q[n], dt_raw[E], bias = false)
  param A[E, n, m] = -1
  dt = softplus(dt_raw)
  state h[E, n, m]: h = exp(-dt * exp(A)) * prev(h) + x * k * g
  y = sum[n, m](h * q)
  return y
""",
    # state [H, P, N], operands and parameters on H alone
    "heads": """layer Heads(d_model, h = 2, n = 3)
  axis H = h, P = d_model // h, N = n
  axis E = H * P
  input u[d_model]
  linear proj(u -> x[E], z[E], B[N], C[N], dt_raw[H], bias = false)
  param A_log[H] = 0
  param D[H] = 1
  param bias[H] = 0
  dt = softplus(dt_raw + bias)
  xs[H, P] = x
  state s[H, P, N]: s = exp(-dt * exp(A_log)) * prev(s) + dt * xs * B
  y[H, P] = sum[N](C * s) + D * xs
  out = y * silu(z)
  linear out_proj(out -> [d_model], bias = false)
  return out_proj
""",
    # class P: two states that depend on each other, not linear
    "coupled": """layer Coupled(d_model)
  axis E = d_model
  input u[d_model]
  linear proj(u -> a[E], x[E], r[E])
  param w[E] = 0.5
  state c[E]: c = sigmoid(a + w * prev(h)) * prev(c) + x
  state h[E]: h = sigmoid(r) * tanh(c) + 0.1 * prev(h)
  return h * r
""",
    # complex state, complex parameters
    "complex_state": """layer ComplexState(d_model, n = 3)
  axis N = n
  input u[d_model]
  param A_log[d_model, N] = 0
  param A_im[d_model, N] = 1 + index(N)
  param C[d_model, N] complex = complex(1, 0.5)
  param B[N] complex = complex(1, -0.5)
  param log_dt[d_model] = -1
  A = complex(-exp(A_log), A_im)
  state h[d_model, N]: h' = A * h + B * u by zoh, step exp(log_dt)
  y = 2 * sum[N](re(C * h))
  return y + u
""",
    # backward in time
    "reverse": """layer Reverse(d_model)
  axis E = d_model
  input u[d_model]
  linear proj(u -> a[E], x[E], q[E])
  b[E] = sigmoid(a) * next(b) + x
  return b * silu(q)
""",
    # a starting value that is a parameter
    "init": """layer Init(d_model)
  axis E = d_model
  input u[d_model]
  linear proj(u -> a[E], x[E])
  param first[E] = 0.3
  state h[E]: h = sigmoid(a) * prev(h, first) + x * (1 + prev(h, first))
  return h
""",
    # reads before and after, two results
    "two_results": """layer TwoResults(d_model, n = 3)
  axis E = d_model, N = n
  input u[d_model]
  linear proj(u -> x[E], k[N], q[N], w_raw[N], bias = false)
  param bonus[E, N] = 0.5
  w = exp(-softplus(w_raw))
  state s[E, N]: s = w * prev(s) + x * k
  y = sum[N](q * (prev(s) + bonus * (x * k)))
  z = sum[N](s * s)
  linear p(y -> a[d_model])
  linear r(z -> b[d_model])
  return a * b
""",
    # conditions from outside and from parameters, and what is made of them
    "conditions": """layer Conditions(d_model)
  axis E = d_model
  input u[d_model]
  param p[E] = index(E) - 1
  linear proj(u -> a[E], x[E], r[E])
  reset = r > 0.5
  odd = p > 0
  linear other(where(reset, x, 0) -> z[E])
  state h[E]: h = where(reset and not odd, 0, sigmoid(a) * prev(h)) + where(odd or reset, x, 2 * x)
  return where(reset, h, z) + where(odd, h, 0)
""",
    # a maximum: class P with where, comparisons and a clamp
    "stabilised": """layer Stabilised(d_model)
  axis E = d_model
  input u[d_model]
  linear proj(u -> k[E], v[E], w[E], f[E])
  state m[E]: m = max(prev(m) + log_sigmoid(f), k)
  state s[E]: s = exp(prev(m) + log_sigmoid(f) - m) * prev(s) + exp(k - m) * v
  return where(w > 0, s, tanh(s)) * clip(w, -1, 1)
""",
    # sums of exponentials that get a maximum of their own: class P, three fields in one walk
    "quotient": """layer Quotient(d_model)
  axis E = d_model
  input u[d_model]
  linear proj(u -> k[E], v[E], f[E])
  state p[E]: p = sigmoid(f) * prev(p) + exp(k) * v
  state q[E]: q = sigmoid(f) * prev(q) + exp(k)
  return (p + prev(p)) / (q + prev(q))
""",
    # sums of the state inside its own update: what a key finds is taken away first
    "delta": """layer Delta(d_model, h = 2, dk = 3, dv = 4)
  axis H = h, K = dk, V = dv
  input u[d_model]
  linear proj(u -> q[H, K], k_in[H, K], v[H, V], b[H], g[H, K])
  k = l2norm[K](k_in)
  old = exp(-softplus(g)) * prev(S)
  state S[H, K, V]: S = old + sigmoid(b) * k * (v - sum[K](k * old))
  y = sum[K](q * S) + v
  linear p(y -> [d_model])
  return p
""",
    # two states, one complex, that meet in sums, with a function that is not linear, towards the past
    "meeting": """layer Meeting(d_model, n = 3)
  axis E = d_model, N = n
  input u[E]
  linear proj(u -> k[N], q[N])
  param theta[E, N] = uniform(-1, 1)
  whole = tanh(sum[N](q * re(next(a)) + next(s)) + u)
  state a[E, N]: a = 0.5 * exp(complex(0, theta)) * next(a) + k * whole
  state s[E, N]: s = 0.9 * next(s) - 0.1 * k * sum[N](k * next(s)) + im(a)
  return sum[N](s) * sigmoid(u)
""",
    # a filter: one stream, one read, of the state before the token and its imaginary part; weights that channels share
    "late_read": """layer LateRead(d_model)
  axis N = 5
  input u[d_model]
  linear gate(u -> g[d_model])
  param rate[d_model, N] = uniform(0.1, 0.9)
  param theta[N] = uniform(-1, 1)
  param b[N] complex = complex(normal(0, 1), normal(0, 1))
  param c[d_model, N] complex = complex(normal(0, 1), normal(0, 1))
  param D[d_model] = 1
  r = sigmoid(rate)
  a = complex(r * cos(theta), r * sin(theta))
  state h[d_model, N]: h = a * prev(h) + b * (D * u)
  return silu(im(sum[N](c * prev(h)))) * g + u
""",
    # no axis at all, and no channel but that
    "number": """layer Number(d_model)
  input u[d_model]
  param w = 1
  state h: h = 0.5 * prev(h) + w * sum[d_model](u)
  return h * u
""",
    "complex_number": """layer ComplexNumber(d_model)
  input u[d_model]
  param w = 1
  x = sum[d_model](u)
  state h: h = complex(0.5, 0.3 * sigmoid(x)) * prev(h) + w * x
  return re(h) * u + im(h)
""",
}
