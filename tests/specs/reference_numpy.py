"""Seven layers as token loops in numpy, written by hand from their equations: they share nothing with the compiler.

Each function takes arrays `[time, channels]` (one sequence), parameters as in the spec, and the state before the first
token, and returns the outputs and the state after the last.
"""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def leaky(u, rate, h):
    a = sigmoid(rate)
    out = []
    for t in range(len(u)):
        h = a * h + (1 - a) * u[t]
        out.append(h)
    return np.array(out).reshape(u.shape), h


def selective_scan(x, dt_raw, B, C, z, A_log, D, h):
    out = []
    for t in range(len(x)):
        dt = np.log1p(np.exp(dt_raw[t]))
        for e in range(x.shape[1]):
            for n in range(B.shape[1]):
                h[e, n] = np.exp(-dt[e] * np.exp(A_log[e, n])) * h[e, n] + dt[e] * B[t, n] * x[t, e]
        y = np.array([sum(C[t, n] * h[e, n] for n in range(B.shape[1])) + D[e] * x[t, e] for e in range(x.shape[1])])
        out.append(y * z[t] * sigmoid(z[t]))
    return np.array(out).reshape(x.shape), h


def min_gru(hidden, gate, h):
    out = []
    for t in range(len(hidden)):
        candidate = np.array([v + 0.5 if v >= 0 else 1 / (1 + np.exp(-v)) for v in hidden[t]])
        z = sigmoid(gate[t])
        h = h - z * h + z * candidate
        out.append(h)
    return np.array(out).reshape(hidden.shape), h


def gated_rnn(x, z_raw, r_raw, a, h):
    out = []
    for t in range(len(x)):
        z, r = sigmoid(z_raw[t]), sigmoid(r_raw[t])
        h = z * h + (1 - z) * np.tanh(x[t] + r * (a * h))
        out.append(h)
    return np.array(out).reshape(x.shape), h


def liquid(u, log_dt, log_A_real, A_imag, B, C, D, x):
    """Before the layer's gelu."""
    A = -np.exp(log_A_real) + 1j * A_imag
    half = np.exp(log_dt)[:, None] / 2
    A_bar, B_bar = (1 + half * A) / (1 - half * A), 2 * half * B / (1 - half * A)
    out = []
    for t in range(len(u)):
        for h in range(u.shape[1]):
            x[h] = (A_bar[h] + B_bar[h] * u[t, h]) * x[h] + B_bar[h] * u[t, h]
        out.append([2 * (C[h] * x[h]).real.sum() + D[h] * u[t, h] for h in range(u.shape[1])])
    return np.array(out).reshape(u.shape), x


def diagonal(u, log_dt, log_A_real, A_imag, C, D, x):
    """Before the layer's gelu."""
    A, dt = -np.exp(log_A_real) + 1j * A_imag, np.exp(log_dt)[:, None]
    A_bar, B_bar = np.exp(dt * A), (np.exp(dt * A) - 1) / A
    out = []
    for t in range(len(u)):
        for h in range(u.shape[1]):
            x[h] = A_bar[h] * x[h] + B_bar[h] * u[t, h]
        out.append([2 * (C[h] * x[h]).real.sum() + D[h] * u[t, h] for h in range(u.shape[1])])
    return np.array(out).reshape(u.shape), x


def ring(x_sum, nu_log, theta_log, gamma_log, x):
    out = []
    for t in range(len(x_sum)):
        for n in range(len(x)):
            turned = np.exp(-np.exp(nu_log[n])) * (np.cos(np.exp(theta_log[n])) + 1j * np.sin(np.exp(theta_log[n])))
            x[n] = turned * x[n] + np.exp(gamma_log[n]) * x_sum[t, n]
        out.append(x.copy())
    return np.array(out).reshape(x_sum.shape), x
