/*
 * PIT channel 0 as a one-shot timer; see timer.h. Assumes that the PIC reaches the CPU, as it does
 * after reset on an emulator and after any BIOS.
 */
#include "guests/lib/timer.h"
#include "guests/lib/exceptions.h"
#include "l1-hypervisor/leaf/insn.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1

#define PIC_INIT      0x11 /* edge-triggered, cascaded, four words */
#define PIC_8086      0x01
#define PIC_CASCADE   2 /* the second PIC's line on the first */
#define PIC_EOI       0x20
#define PIC_LET_TIMER 0xfe
#define PIC_MASK_ALL  0xff

#define PIT_CHANNEL0 0x40
#define PIT_COMMAND  0x43
#define PIT_ONE_SHOT 0x30 /* channel 0, low then high byte, mode 0 */

static u64 interrupts;

static void timer_interrupt(struct exception_frame *frame)
{
	(void)frame;
	interrupts++;
	outb(PIC1_COMMAND, PIC_EOI);
}

/* Initializing a PIC also forgets its waiting requests. */
static void pic_init(void)
{
	outb(PIC1_COMMAND, PIC_INIT);
	outb(PIC2_COMMAND, PIC_INIT);
	outb(PIC1_DATA, TIMER_VECTOR);
	outb(PIC2_DATA, TIMER_VECTOR + 8);
	outb(PIC1_DATA, 1 << PIC_CASCADE);
	outb(PIC2_DATA, PIC_CASCADE);
	outb(PIC1_DATA, PIC_8086);
	outb(PIC2_DATA, PIC_8086);
	outb(PIC1_DATA, PIC_LET_TIMER);
	outb(PIC2_DATA, PIC_MASK_ALL);
}

void timer_off(void)
{
	outb(PIC1_DATA, PIC_MASK_ALL);
	outb(PIC2_DATA, PIC_MASK_ALL);
}

void timer_init(void)
{
	outb(PIT_COMMAND, PIT_ONE_SHOT);
	pic_init();
	interrupts = 0;
	interrupt_handle(TIMER_VECTOR, timer_interrupt);
}

void timer_arm(u16 count)
{
	outb(PIT_COMMAND, PIT_ONE_SHOT);
	pic_init();
	outb(PIT_CHANNEL0, (u8)count);
	outb(PIT_CHANNEL0, (u8)(count >> 8));
}

u64 timer_count(void)
{
	return interrupts;
}
