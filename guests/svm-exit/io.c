/*
 * I/O instructions: the IOPM, which bits of it count, what EXITINFO1 and EXITINFO2 say. APM 2 "I/O
 * Intercepts" (15.10).
 *
 * QUIRK(qemu-7.2): EXITINFO1 lacks the address size.
 */
#include "guests/svm-exit/exit_case.h"

#define PORT      0x80 /* the POST port: harmless */
#define NEIGHBOUR 0x81

CODE(i_out_imm, 64, "out %al, $0x80" SVM_INNER_DONE);
CODE(i_in_imm, 64, "in $0x80, %al" SVM_INNER_DONE);
CODE(i_in_imm32, 64, "in $0x80, %eax" SVM_INNER_DONE);
CODE(i_out8, 64, "out %al, %dx" SVM_INNER_DONE);
CODE(i_out16, 64, "out %ax, %dx" SVM_INNER_DONE);
CODE(i_out32, 64, "out %eax, %dx" SVM_INNER_DONE);
CODE(i_in8, 64, "in %dx, %al" SVM_INNER_DONE);
CODE(i_in16, 64, "in %dx, %ax" SVM_INNER_DONE);
CODE(i_in32, 64, "in %dx, %eax" SVM_INNER_DONE);
CODE(i_outs, 64, "outsb" SVM_INNER_DONE);
CODE(i_ins, 64, "insb" SVM_INNER_DONE);
CODE(i_rep_outs, 64, "rep outsw" SVM_INNER_DONE);
CODE(i_rep_ins, 64, "rep insl" SVM_INNER_DONE);
CODE(i_outs_fs, 64, "outsb %fs:(%rsi), %dx" SVM_INNER_DONE);
CODE(i_outs_32, 64, "outsl (%esi), %dx" SVM_INNER_DONE);

static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
#define BUFFER ((u64)buffer)

static void intercept_port(void)
{
	svm_intercept_port(svm_inner_iopm, PORT);
}

static void intercept_neighbour(void)
{
	svm_intercept_port(svm_inner_iopm, NEIGHBOUR);
}

static void intercept_all_but_port(void)
{
	for (u32 i = 0; i < IOPM_SIZE; i++)
		svm_inner_iopm[i] = 0xff;
	svm_inner_iopm[PORT / 8] = (u8)~BIT(PORT & 7);
}

static void intercept_all(void)
{
	for (u32 i = 0; i < IOPM_SIZE; i++)
		svm_inner_iopm[i] = 0xff;
}

static void intercept_8000(void)
{
	svm_intercept_port(svm_inner_iopm, 0x8000);
}

static void intercept_7fff(void)
{
	svm_intercept_port(svm_inner_iopm, 0x7fff);
}

static void intercept_ffff(void)
{
	svm_intercept_port(svm_inner_iopm, 0xffff);
}

/* The first bit behind those of all ports, for an access that runs over the last one. */
static void intercept_10000(void)
{
	svm_inner_iopm[0x10000 / 8] = 1;
}

static void intercept_port_0(void)
{
	svm_intercept_port(svm_inner_iopm, 0);
}

static void use_fs_base(void)
{
	intercept_all();
	svm_inner_vmcb.s.fs.base = BUFFER;
}

#define ADDRESS_SIZE (IOIO_ADDRESS_16 | IOIO_ADDRESS_32 | IOIO_ADDRESS_64)
#define IO                                                                \
	.intercept1 = INTERCEPT1_IOIO, .exit = SVM_EXIT_IOIO, .infos = 1, \
	.info1_quirk = ADDRESS_SIZE
#define MAP         .intercept1 = INTERCEPT1_IOIO
#define INFO(bytes) (u64)(bytes) << IOIO_SIZE_SHIFT
#define AT_64(port) ((u64)(port) << IOIO_PORT_SHIFT | IOIO_ADDRESS_64)
#define AT_32(port) ((u64)(port) << IOIO_PORT_SHIFT | IOIO_ADDRESS_32)
#define SAYS(bits)  .info1 = (bits)
#define RULE_INFO                                                                              \
	"EXITINFO1: bit 0 IN, bit 2 string, bit 3 REP, bits 6:4 size, bits 9:7 address size, " \
	"bits "                                                                                \
	"31:16 port; EXITINFO2: the rIP of the instruction following"
#define RULE_MAP                                                                           \
	"An I/O instruction is intercepted if any of the permission bits of the ports it " \
	"accesses "                                                                        \
	"is 1"
#define RULE_END \
	"The permissions map has bits behind those of port FFFFh, for accesses that run over it"

static const struct exit_case forms[] = {
	{ "OUT of 1 byte to an immediate port exits", RULE_INFO, i_out_imm, IO, .length = 2,
	  SAYS(INFO(1) | AT_64(PORT)), .prepare = intercept_all },
	{ "IN of 1 byte from an immediate port exits", RULE_INFO, i_in_imm, IO, .length = 2,
	  SAYS(INFO(1) | AT_64(PORT) | IOIO_IN), .prepare = intercept_all },
	{ "IN of 4 bytes from an immediate port exits", RULE_INFO, i_in_imm32, IO, .length = 2,
	  SAYS(INFO(4) | AT_64(PORT) | IOIO_IN), .prepare = intercept_all },
	{ "OUT of 1 byte exits", RULE_INFO, i_out8, IO, .length = 1, .rdx = 0x1234,
	  SAYS(INFO(1) | AT_64(0x1234)), .prepare = intercept_all },
	{ "OUT of 2 bytes exits", RULE_INFO, i_out16, IO, .length = 2, .rdx = 0xfffe,
	  SAYS(INFO(2) | AT_64(0xfffe)), .prepare = intercept_all },
	{ "OUT of 4 bytes exits", RULE_INFO, i_out32, IO, .length = 1, .rdx = 0xcf8,
	  SAYS(INFO(4) | AT_64(0xcf8)), .prepare = intercept_all },
	{ "IN of 1 byte exits", RULE_INFO, i_in8, IO, .length = 1, .rdx = 0x70,
	  SAYS(INFO(1) | AT_64(0x70) | IOIO_IN), .prepare = intercept_all },
	{ "IN of 2 bytes exits", RULE_INFO, i_in16, IO, .length = 2, .rdx = 0x1f0,
	  SAYS(INFO(2) | AT_64(0x1f0) | IOIO_IN), .prepare = intercept_all },
	{ "IN takes its port from DX only", RULE_INFO, i_in8, IO, .length = 1,
	  .rdx = BIT(20) | PORT, SAYS(INFO(1) | AT_64(PORT) | IOIO_IN), .prepare = intercept_all },
	{ "OUTS exits", RULE_INFO, i_outs, IO, .length = 1, .rdx = PORT, .rsi = BUFFER,
	  SAYS(INFO(1) | AT_64(PORT) | IOIO_STRING), .prepare = intercept_all },
	{ "INS exits", RULE_INFO, i_ins, IO, .length = 1, .rdx = PORT, .rdi = BUFFER,
	  SAYS(INFO(1) | AT_64(PORT) | IOIO_IN | IOIO_STRING), .prepare = intercept_all },
	{ "REP OUTS exits", RULE_INFO, i_rep_outs, IO, .length = 3, .rdx = PORT, .rsi = BUFFER,
	  .rcx = 7, SAYS(INFO(2) | AT_64(PORT) | IOIO_STRING | IOIO_REP),
	  .prepare = intercept_all },
	{ "REP INS exits", RULE_INFO, i_rep_ins, IO, .length = 2, .rdx = PORT, .rdi = BUFFER,
	  .rcx = 7, SAYS(INFO(4) | AT_64(PORT) | IOIO_IN | IOIO_STRING | IOIO_REP),
	  .prepare = intercept_all },
	{ "OUTS by FS exits", RULE_INFO, i_outs_fs, IO, .length = 2, .rdx = PORT, .rsi = 8,
	  SAYS(INFO(1) | AT_64(PORT) | IOIO_STRING), .prepare = use_fs_base },
	{ "OUTS with 32-bit addressing exits", RULE_INFO, i_outs_32, IO, .length = 2, .rdx = PORT,
	  .rsi = BUFFER + BIT(33), SAYS(INFO(4) | AT_32(PORT) | IOIO_STRING),
	  .prepare = intercept_all },
};

static const struct exit_case ports[] = {
	{ "OUT does not exit", "The IOIO_PROT intercept is 0: the map is not used", i_out_imm,
	  NO_EXIT, .prepare = intercept_all },
	{ "OUT to a port with its bit clear does not exit", RULE_MAP, i_out_imm, MAP, NO_EXIT },
	{ "OUT to a port with its bit set exits", RULE_MAP, i_out_imm, IO, .length = 2,
	  SAYS(INFO(1) | AT_64(PORT)), .prepare = intercept_port },
	{ "OUT to a port whose neighbours' bits are set does not exit", RULE_MAP, i_out_imm, MAP,
	  NO_EXIT, .prepare = intercept_all_but_port },
	{ "OUT of 1 byte below a port with its bit set does not exit", RULE_MAP, i_out8, MAP,
	  NO_EXIT, .rdx = PORT, .prepare = intercept_neighbour },
	{ "OUT of 2 bytes of which the second port's bit is set exits", RULE_MAP, i_out16, IO,
	  .length = 2, .rdx = PORT, SAYS(INFO(2) | AT_64(PORT)), .prepare = intercept_neighbour },
	{ "OUT of 4 bytes of which the second port's bit is set exits", RULE_MAP, i_out32, IO,
	  .length = 1, .rdx = PORT, SAYS(INFO(4) | AT_64(PORT)), .prepare = intercept_neighbour },
	{ "IN at the end of the map's first page exits", RULE_MAP, i_in8, IO, .length = 1,
	  .rdx = 0x7fff, SAYS(INFO(1) | AT_64(0x7fff) | IOIO_IN), .prepare = intercept_7fff },
	{ "IN at the start of the map's second page exits", RULE_MAP, i_in8, IO, .length = 1,
	  .rdx = 0x8000, SAYS(INFO(1) | AT_64(0x8000) | IOIO_IN), .prepare = intercept_8000 },
	{ "IN of 2 bytes from the first page's last port into the second's first exits", RULE_MAP,
	  i_in16, IO, .length = 2, .rdx = 0x7fff, SAYS(INFO(2) | AT_64(0x7fff) | IOIO_IN),
	  .prepare = intercept_8000 },
	{ "IN of the last port exits", RULE_MAP, i_in8, IO, .length = 1, .rdx = 0xffff,
	  SAYS(INFO(1) | AT_64(0xffff) | IOIO_IN), .prepare = intercept_ffff },
	{ "IN of 2 bytes over the last port exits by the bit behind it", RULE_END, i_in16, IO,
	  .length = 2, .rdx = 0xffff, SAYS(INFO(2) | AT_64(0xffff) | IOIO_IN),
	  .prepare = intercept_10000 },
	{ "IN of 4 bytes over the last port exits by the bit behind it", RULE_END, i_in32, IO,
	  .length = 1, .rdx = 0xfffd, SAYS(INFO(4) | AT_64(0xfffd) | IOIO_IN),
	  .prepare = intercept_10000 },
	{ "IN of 2 bytes over the last port does not exit by port 0's bit", RULE_END, i_in16, MAP,
	  NO_EXIT, .rdx = 0xffff, .prepare = intercept_port_0 },
	{ "OUT at CPL 3 is #GP", "Faults by IOPL and the TSS come before the intercept", i_out_imm,
	  RAISES_GP, MAP, .user = true, .prepare = intercept_all },
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
