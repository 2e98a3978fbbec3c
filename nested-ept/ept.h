/*
 * EPT: bits of the EPT pointer, of the paging-structure entries and of the exit qualification for
 * EPT violations, and the format built from them. Hardware facts only; no policy.
 */
#ifndef NESTED_EPT_EPT_H
#define NESTED_EPT_EPT_H

#include "nested-ept/format.h"

/* SDM 3C "Extended-Page-Table Pointer (EPTP)" (25.6.11). */
#define EPTP_TYPE_MASK               BITS(2, 0)
#define EPTP_WALK_MASK               BITS(5, 3)
#define EPTP_WALK_4                  (3ULL << 3) /* the field holds the length less 1 */
#define EPTP_WALK_5                  (4ULL << 3)
#define EPTP_AD                      BIT(6)
#define EPTP_SUPERVISOR_SHADOW_STACK BIT(7)
#define EPTP_RESERVED                BITS(11, 8)
#define EPTP_ADDRESS                 BITS(51, 12)

/* SDM 3C "EPT Translation Mechanism" (29.3.2), the tables of the entry formats. */
#define EPT_R          BIT(0)
#define EPT_W          BIT(1)
#define EPT_X          BIT(2)
#define EPT_TYPE_SHIFT 3
#define EPT_TYPE_MASK  BITS(5, 3)
#define EPT_IGNORE_PAT BIT(6)
#define EPT_LEAF       BIT(7)
#define EPT_ACCESSED   BIT(8)
#define EPT_DIRTY      BIT(9)
#define EPT_REFERENCE  BIT(11) /* ignored by hardware; see struct nept_format */
#define EPT_ADDRESS    BITS(51, 12)

/* SDM 3C "Exit Qualification for EPT Violations" (28.2.1, Table 28-7). */
#define EPT_VIOLATION_READ            BIT(0)
#define EPT_VIOLATION_WRITE           BIT(1)
#define EPT_VIOLATION_FETCH           BIT(2)
#define EPT_VIOLATION_RIGHTS_SHIFT    3
#define EPT_VIOLATION_READABLE        BIT(3)
#define EPT_VIOLATION_WRITABLE        BIT(4)
#define EPT_VIOLATION_EXECUTABLE      BIT(5)
#define EPT_VIOLATION_USER_EXECUTABLE BIT(6)
#define EPT_VIOLATION_LINEAR_VALID    BIT(7)
#define EPT_VIOLATION_TRANSLATED      BIT(8)
#define EPT_VIOLATION_NMI_UNBLOCKED   BIT(12)

extern const struct nept_format nept_format_ept;

#endif
