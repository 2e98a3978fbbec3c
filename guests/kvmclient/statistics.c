/*
 * KVM's own counters of a virtual CPU ("The Definitive KVM API Documentation", KVM_GET_STATS_FD).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guests/kvmclient/client.h"

static void read_at(int fd, void *to, size_t length, u64 at)
{
	if (pread(fd, to, length, (off_t)at) != (ssize_t)length)
		fail("KVM's counters cannot be read");
}

void statistics_print(const struct machine *m)
{
	int fd = ioctl(m->vcpu, KVM_GET_STATS_FD, NULL);
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	size_t size;

	if (fd < 0)
		fail("this KVM has no KVM_GET_STATS_FD: Linux 5.14 or later is needed for -s");
	read_at(fd, &header, sizeof(header), 0);
	size = sizeof(*desc) + header.name_size;
	desc = malloc(size);
	if (!desc)
		fail("there is no memory");
	for (u32 i = 0; i < header.num_desc; i++) {
		u64 value;

		read_at(fd, desc, size, header.desc_offset + i * size);
		if (desc->size != 1)
			continue; /* a histogram */
		read_at(fd, &value, sizeof(value), header.data_offset + desc->offset);
		if (value)
			printf("# kvm: %s %llu\n", desc->name, (unsigned long long)value);
	}
	free(desc);
	close(fd);
}
