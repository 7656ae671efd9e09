/* SPDX-License-Identifier: BSL-1.0 */
#ifndef LEGACY_GLOBALS_ODE_H
#define LEGACY_GLOBALS_ODE_H

/* A solver of its time: one problem at once, kept between the calls in globals, as Fortran kept it
 * in COMMON blocks. Solves y' = -rate * y by the method of Runge and Kutta. */

#ifdef __cplusplus
extern "C" {
#endif

void ode_setup(double rate, double start); /* y(0) = start */
void ode_advance(double until);            /* integrates on to that time */
double ode_value(void);                    /* y there */

#ifdef __cplusplus
}
#endif

#endif
