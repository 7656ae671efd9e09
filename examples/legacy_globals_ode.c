/* SPDX-License-Identifier: BSL-1.0 */
#include "legacy_globals_ode.h"

static double rate, y, t;
static double work[4];

static double slope(double at) { return -rate * at; }

void ode_setup(double new_rate, double start) {
  rate = new_rate;
  y = start;
  t = 0;
}

void ode_advance(double until) {
  while (t < until) {
    const double h = until - t < 1e-3 ? until - t : 1e-3;
    work[0] = slope(y);
    work[1] = slope(y + h / 2 * work[0]);
    work[2] = slope(y + h / 2 * work[1]);
    work[3] = slope(y + h * work[2]);
    y += h / 6 * (work[0] + 2 * work[1] + 2 * work[2] + work[3]);
    t += h;
  }
}

double ode_value(void) { return y; }
