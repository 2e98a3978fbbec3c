/*
 * Test results on COM1 in the Test Anything Protocol: a plan, numbered points, diagnostics. Two
 * runs of one image are compared by their text, so descriptions carry nothing that varies;
 * figures go into "# {json}" lines, which the comparison leaves out.
 */
#ifndef GUESTS_LIB_TAP_H
#define GUESTS_LIB_TAP_H

#include "l1-hypervisor/leaf/types.h"

/* Indents everything by 4 spaces: the points of a guest inside a guest are a subtest. */
void tap_as_subtest(void);

/* Announces the number of points. Once, before the first point. */
void tap_plan(u32 points);

/* One point; returns `passed`. */
__attribute__((format(printf, 2, 3))) bool tap_ok(bool passed, const char *format, ...);

/* One diagnostic line, "# " before it. */
__attribute__((format(printf, 1, 2))) void tap_note(const char *format, ...);

/* The guest's status: 0 when every planned point was there and passed. */
int tap_status(void);

#endif
