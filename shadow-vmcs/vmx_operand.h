/*
 * Operands of the VMX instructions of L2, from the VM-exit instruction information and L2's state
 * in vmcs12, which must be loaded: registers, and memory through segmentation and L2's own page
 * tables, with the faults that the instruction would raise.
 */
#ifndef SHADOW_VMCS_VMX_OPERAND_H
#define SHADOW_VMCS_VMX_OPERAND_H

#include "shadow-vmcs/vmx_nested.h"

/* SDM 3C "Information for VM Exits Due to Instruction Execution" (28.2.5), Tables 28-13, 28-14. */
#define OPERAND_IS_REGISTER BIT32(10)
#define OPERAND_REG1(info)  ((info) >> 3 & 15)
#define OPERAND_REG2(info)  ((info) >> 28)

/* Segment registers by the numbers that instructions and the VMCS give them. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/* A general register of L2 by its number, RSP included. */
u64 vmx_operand_reg(const struct vmx_nested *n, u32 number);
/* Writes one; 32-bit code changes the lower half and clears the upper. */
void vmx_operand_set_reg(struct vmx_nested *n, u32 number, u64 value, bool code64);

/* Whether L2 runs 64-bit code. */
bool vmx_operand_code64(void);

/* SDM 3A "Limit Checking", "Type Checking": whether 32-bit or 16-bit code may access this. */
bool vmx_operand_segment_allows(u32 segment, u64 offset, u32 size, bool write);

/* Reads or writes the `size` bytes of the memory operand. False when it faults: n->fault is set.
 * Memory that L2 does not have reads as ones and forgets what is written. */
bool vmx_operand_read(struct vmx_nested *n, u32 info, void *to, u32 size);
bool vmx_operand_write(struct vmx_nested *n, u32 info, const void *from, u32 size);

/* Reads up to `size` bytes of code at L2's RIP; how many it got. */
u32 vmx_operand_code(const struct vmx_nested *n, u8 *to, u32 size);

#endif
