/*
 * I/O instructions: unconditional exiting, the two bitmaps, what the qualification says. SDM 3C
 * "I/O-Bitmap Addresses" (25.6.4), "Exit Qualification for I/O Instructions" (table 28-5).
 */
#include "guests/vmx-exit/exit_case.h"

#define PORT      0x80 /* the POST port: harmless */
#define NEIGHBOUR 0x81

#define QUAL(bytes, in, string, rep, immediate, port)                              \
	(((bytes)-1) | (in) << 3 | (string) << 4 | (rep) << 5 | (immediate) << 6 | \
	 (u64)(port) << 16)

CODE(i_out_imm, 64, "out %al, $0x80" INNER_DONE);
CODE(i_in_imm, 64, "in $0x80, %al" INNER_DONE);
CODE(i_in_imm32, 64, "in $0x80, %eax" INNER_DONE);
CODE(i_out8, 64, "out %al, %dx" INNER_DONE);
CODE(i_out16, 64, "out %ax, %dx" INNER_DONE);
CODE(i_out32, 64, "out %eax, %dx" INNER_DONE);
CODE(i_in8, 64, "in %dx, %al" INNER_DONE);
CODE(i_in16, 64, "in %dx, %ax" INNER_DONE);
CODE(i_in32, 64, "in %dx, %eax" INNER_DONE);
CODE(i_outs, 64, "outsb" INNER_DONE);
CODE(i_ins, 64, "insb" INNER_DONE);
CODE(i_rep_outs, 64, "rep outsw" INNER_DONE);
CODE(i_rep_ins, 64, "rep insl" INNER_DONE);
CODE(i_outs_fs, 64, "outsb %fs:(%rsi), %dx" INNER_DONE);
CODE(i_outs_32, 64, "outsl (%esi), %dx" INNER_DONE);

static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
#define BUFFER ((u64)buffer)

static void intercept(u32 port)
{
	u8 *bitmap = port & 0x8000 ? inner_io_bitmap_b : inner_io_bitmap_a;

	bitmap[(port & 0x7fff) / 8] |= (u8)(1 << (port & 7));
}

static void intercept_port(void)
{
	intercept(PORT);
}

static void intercept_neighbour(void)
{
	intercept(NEIGHBOUR);
}

static void intercept_all_but_port(void)
{
	for (u32 i = 0; i < PAGE_SIZE; i++)
		inner_io_bitmap_a[i] = inner_io_bitmap_b[i] = 0xff;
	inner_io_bitmap_a[PORT / 8] = (u8)~BIT(PORT & 7);
}

static void intercept_7fff(void)
{
	intercept(0x7fff);
}

static void intercept_8000(void)
{
	intercept(0x8000);
}

static void intercept_ffff(void)
{
	intercept(0xffff);
}

static void use_fs_base(void)
{
	vmx_set(VMCS_GUEST_FS_BASE, BUFFER);
}

static void linear_is_buffer(void)
{
	test_equal("guest-linear address", vmx_get(VMCS_GUEST_LINEAR_ADDRESS), BUFFER);
}

static void linear_is_buffer_8(void)
{
	test_equal("guest-linear address", vmx_get(VMCS_GUEST_LINEAR_ADDRESS), BUFFER + 8);
}

#define ALL     .more.proc = PROC_UNCONDITIONAL_IO
#define BITMAPS .more.proc = PROC_IO_BITMAPS
#define IO      .reason = VMX_EXIT_IO
#define RULE_QUAL                                                                        \
	"Qualification: bits 2:0 size less 1, bit 3 IN, bit 4 string, bit 5 REP, bit 6 " \
	"immediate, "                                                                    \
	"bits 31:16 port"
#define RULE_BITMAP                                                                                \
	"With I/O bitmaps, an I/O instruction exits if any bit in the bitmaps corresponding to a " \
	"port it accesses is 1"
#define RULE_WRAP "... or if the access \"wraps around\" the 16-bit port space"
#define RULE_STRING                                                                         \
	"INS, OUTS: guest-linear address, and address size and segment in the instruction " \
	"information"
#define RULE_OVER \
	"If the \"use I/O bitmaps\" control is 1, \"unconditional I/O exiting\" is ignored"

static const struct exit_case forms[] = {
	{ "OUT of 1 byte to an immediate port exits", RULE_QUAL, i_out_imm, ALL, IO, .length = 2,
	  .qualification = QUAL(1, 0, 0, 0, 1, PORT) },
	{ "IN of 1 byte from an immediate port exits", RULE_QUAL, i_in_imm, ALL, IO, .length = 2,
	  .qualification = QUAL(1, 1, 0, 0, 1, PORT) },
	{ "IN of 4 bytes from an immediate port exits", RULE_QUAL, i_in_imm32, ALL, IO, .length = 2,
	  .qualification = QUAL(4, 1, 0, 0, 1, PORT) },
	{ "OUT of 1 byte exits", RULE_QUAL, i_out8, ALL, IO, .length = 1, .rdx = 0x1234,
	  .qualification = QUAL(1, 0, 0, 0, 0, 0x1234) },
	{ "OUT of 2 bytes exits", RULE_QUAL, i_out16, ALL, IO, .length = 2, .rdx = 0xfffe,
	  .qualification = QUAL(2, 0, 0, 0, 0, 0xfffe) },
	{ "OUT of 4 bytes exits", RULE_QUAL, i_out32, ALL, IO, .length = 1, .rdx = 0xcf8,
	  .qualification = QUAL(4, 0, 0, 0, 0, 0xcf8) },
	{ "IN of 1 byte exits", RULE_QUAL, i_in8, ALL, IO, .length = 1, .rdx = 0x70,
	  .qualification = QUAL(1, 1, 0, 0, 0, 0x70) },
	{ "IN of 2 bytes exits", RULE_QUAL, i_in16, ALL, IO, .length = 2, .rdx = 0x1f0,
	  .qualification = QUAL(2, 1, 0, 0, 0, 0x1f0) },
	{ "OUTS exits", RULE_STRING, i_outs, ALL, IO, .length = 1, .rdx = PORT, .rsi = BUFFER,
	  .qualification = QUAL(1, 0, 1, 0, 0, PORT),
	  .info = INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS),
	  .info_mask = MASK_SEGMENT & ~INFO_REGISTER, .finish = linear_is_buffer },
	{ "INS exits", RULE_STRING, i_ins, ALL, IO, .length = 1, .rdx = PORT, .rdi = BUFFER,
	  .qualification = QUAL(1, 1, 1, 0, 0, PORT), .info = INFO_ADDRESS_64,
	  .info_mask = BIT32(7) | BIT32(8) | BIT32(9), .finish = linear_is_buffer },
	{ "REP OUTS exits", RULE_STRING, i_rep_outs, ALL, IO, .length = 3, .rdx = PORT,
	  .rsi = BUFFER, .rcx = 7, .qualification = QUAL(2, 0, 1, 1, 0, PORT),
	  .finish = linear_is_buffer },
	{ "REP INS exits", RULE_STRING, i_rep_ins, ALL, IO, .length = 2, .rdx = PORT, .rdi = BUFFER,
	  .rcx = 7, .qualification = QUAL(4, 1, 1, 1, 0, PORT), .finish = linear_is_buffer },
	{ "OUTS by FS exits", RULE_STRING, i_outs_fs, ALL, IO, .length = 2, .rdx = PORT, .rsi = 8,
	  .qualification = QUAL(1, 0, 1, 0, 0, PORT),
	  .info = INFO_ADDRESS_64 | INFO_SEGMENT(SEG_FS),
	  .info_mask = MASK_SEGMENT & ~INFO_REGISTER, .prepare = use_fs_base,
	  .finish = linear_is_buffer_8 },
	{ "OUTS with 32-bit addressing exits", RULE_STRING, i_outs_32, ALL, IO, .length = 2,
	  .rdx = PORT, .rsi = BUFFER + BIT(33), .qualification = QUAL(4, 0, 1, 0, 0, PORT),
	  .info = INFO_ADDRESS_32 | INFO_SEGMENT(SEG_DS),
	  .info_mask = MASK_SEGMENT & ~INFO_REGISTER, .finish = linear_is_buffer },
	{ "OUT at CPL 3 is #GP", "Faults by IOPL and the I/O permission bitmap come first",
	  i_out_imm, RAISES_GP, ALL, .user = true },
};

static const struct exit_case ports[] = {
	{ "OUT does not exit", "both I/O controls are 0", i_out_imm, NO_EXIT },
	{ "OUT to a port with its bit clear does not exit", RULE_BITMAP, i_out_imm, BITMAPS,
	  NO_EXIT },
	{ "OUT to a port with its bit set exits", RULE_BITMAP, i_out_imm, BITMAPS, IO, .length = 2,
	  .qualification = QUAL(1, 0, 0, 0, 1, PORT), .prepare = intercept_port },
	{ "OUT to a port whose neighbours' bits are set does not exit", RULE_BITMAP, i_out_imm,
	  BITMAPS, NO_EXIT, .prepare = intercept_all_but_port },
	{ "OUT of 1 byte below a port with its bit set does not exit", RULE_BITMAP, i_out8, BITMAPS,
	  NO_EXIT, .rdx = PORT, .prepare = intercept_neighbour },
	{ "OUT of 2 bytes of which the second port's bit is set exits", RULE_BITMAP, i_out16,
	  BITMAPS, IO, .length = 2, .rdx = PORT, .qualification = QUAL(2, 0, 0, 0, 0, PORT),
	  .prepare = intercept_neighbour },
	{ "IN at the end of bitmap A exits", RULE_BITMAP, i_in8, BITMAPS, IO, .length = 1,
	  .rdx = 0x7fff, .qualification = QUAL(1, 1, 0, 0, 0, 0x7fff), .prepare = intercept_7fff },
	{ "IN at the start of bitmap B exits", RULE_BITMAP, i_in8, BITMAPS, IO, .length = 1,
	  .rdx = 0x8000, .qualification = QUAL(1, 1, 0, 0, 0, 0x8000), .prepare = intercept_8000 },
	{ "IN of 2 bytes from A's last port into B's first exits", RULE_BITMAP, i_in16, BITMAPS, IO,
	  .length = 2, .rdx = 0x7fff, .qualification = QUAL(2, 1, 0, 0, 0, 0x7fff),
	  .prepare = intercept_8000 },
	{ "IN at the end of bitmap B exits", RULE_BITMAP, i_in8, BITMAPS, IO, .length = 1,
	  .rdx = 0xffff, .qualification = QUAL(1, 1, 0, 0, 0, 0xffff), .prepare = intercept_ffff },
	{ "IN of 2 bytes that wraps around exits with all bits clear", RULE_WRAP, i_in16, BITMAPS,
	  IO, .length = 2, .rdx = 0xffff, .qualification = QUAL(2, 1, 0, 0, 0, 0xffff) },
	{ "IN of 4 bytes that wraps around exits with all bits clear", RULE_WRAP, i_in32, BITMAPS,
	  IO, .length = 1, .rdx = 0xfffd, .qualification = QUAL(4, 1, 0, 0, 0, 0xfffd) },
	{ "OUT does not exit by both controls when its bit is clear", RULE_OVER, i_out_imm,
	  .more.proc = PROC_IO_BITMAPS | PROC_UNCONDITIONAL_IO, NO_EXIT },
};

static u32 count(void)
{
	return ARRAY_SIZE(forms) + ARRAY_SIZE(ports);
}

static void run(void)
{
	exit_cases_run(forms, ARRAY_SIZE(forms));
	exit_cases_run(ports, ARRAY_SIZE(ports));
}

const struct suite io_suite = { count, run };
