/*
 * Reads the first ATA disk by programmed I/O with 28-bit sector numbers. Uses READ MULTIPLE, since
 * an emulator then copies 8 KiB at a time. Assumes a disk that answers; an error ends the boot.
 */
#include "l1-hypervisor/boot/rom/rom.h"
#include "l1-hypervisor/leaf/insn.h"

#define ATA_DATA    0x1f0
#define ATA_COUNT   0x1f2
#define ATA_LBA0    0x1f3
#define ATA_LBA8    0x1f4
#define ATA_LBA16   0x1f5
#define ATA_DRIVE   0x1f6
#define ATA_COMMAND 0x1f7 /* written */
#define ATA_STATUS  0x1f7 /* read */
#define ATA_CONTROL 0x3f6

#define DRIVE_LBA         0xe0
#define CONTROL_NO_IRQ    0x02
#define STATUS_ERROR      0x01
#define STATUS_DATA       0x08
#define STATUS_BUSY       0x80
#define CMD_READ_MULTIPLE 0xc4
#define CMD_SET_MULTIPLE  0xc6
#define SECTORS_A_BLOCK   16U
#define SECTORS_A_COMMAND 128U
#define POLLS_MAX         100000000U

static u8 wait_ready(void)
{
	for (u32 i = 0; i < POLLS_MAX; i++) {
		u8 status = inb(ATA_STATUS);

		if (!(status & STATUS_BUSY))
			return status;
	}
	rom_fail("The boot disk does not answer.");
}

static void command(u8 what, u32 sector, u32 count)
{
	wait_ready();
	outb(ATA_CONTROL, CONTROL_NO_IRQ);
	outb(ATA_DRIVE, (u8)(DRIVE_LBA | (sector >> 24 & 0xf)));
	outb(ATA_COUNT, (u8)count);
	outb(ATA_LBA0, (u8)sector);
	outb(ATA_LBA8, (u8)(sector >> 8));
	outb(ATA_LBA16, (u8)(sector >> 16));
	outb(ATA_COMMAND, what);
}

static void *read_block(void *to, u32 sectors)
{
	u32 words = sectors * SECTOR_SIZE / 2;
	u8 status = wait_ready();

	if ((status & STATUS_ERROR) || !(status & STATUS_DATA))
		rom_fail(
			"The boot disk cannot be read: its image is shorter than its header says.");
	__asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(ATA_DATA) : "memory");
	return to;
}

void disk_read(u32 sector, u32 count, void *to)
{
	command(CMD_SET_MULTIPLE, 0, SECTORS_A_BLOCK);
	while (count) {
		u32 now = count < SECTORS_A_COMMAND ? count : SECTORS_A_COMMAND;

		command(CMD_READ_MULTIPLE, sector, now);
		for (u32 done = 0; done < now; done += SECTORS_A_BLOCK) {
			u32 left = now - done;

			to = read_block(to, left < SECTORS_A_BLOCK ? left : SECTORS_A_BLOCK);
		}
		sector += now;
		count -= now;
	}
}
