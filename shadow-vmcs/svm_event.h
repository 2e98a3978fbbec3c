/*
 * Events whose delivery an exit interrupted, as exit_int_info tells them (APM 2 "Nested Exceptions
 * and Intercepts: EXITINTINFO" (15.7.2)), and how they are delivered again. Pure.
 */
#ifndef SHADOW_VMCS_SVM_EVENT_H
#define SHADOW_VMCS_SVM_EVENT_H

#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/svm_bits.h"

/*
 * What the processor means by exit_int_info.
 * QUIRK(qemu-7.2): TCG tells an external interrupt or an NMI as an exception with its vector;
 * exceptions end at 31.
 * QUIRK(linux-6.1): KVM leaves an older error code beside an event that has none.
 */
static inline u64 svm_interrupted_event(u64 info)
{
	u64 vector = info & EVENT_VECTOR;

	if (likely(!(info & EVENT_VALID)))
		return info;
	if (!(info & EVENT_ERROR_CODE))
		info = (u32)info;
	if ((info & EVENT_TYPE) != EVENT_TYPE_EXCEPTION)
		return info;
	if (vector > 31)
		return info & ~EVENT_TYPE;
	return vector == EXC_NMI ? (info & ~EVENT_TYPE) | EVENT_TYPE_NMI : info;
}

/* Whether an event is one that an instruction makes: INT n, INT3, INTO. A processor that saves next
 * RIPs takes one with it, where the handler returns to. APM 2 "Event Injection" (15.20). */
static inline bool svm_event_has_next_rip(u64 event)
{
	u64 vector = event & EVENT_VECTOR;

	if (!(event & EVENT_VALID))
		return false;
	return (event & EVENT_TYPE) == EVENT_TYPE_SOFTWARE ||
	       ((event & EVENT_TYPE) == EVENT_TYPE_EXCEPTION &&
		(vector == EXC_BP || vector == EXC_OF));
}

/*
 * What is to be injected so that the guest goes on where it was, or 0; `injected` is what the entry
 * injected that ended with this exit. An event that an instruction made (INTn, INT3, INTO) comes
 * back when that runs again; an injected one has no such instruction.
 */
static inline u64 svm_event_again(u64 info, u64 injected)
{
	u64 event = svm_interrupted_event(info);

	if (likely(!(event & EVENT_VALID)))
		return 0;
	if ((injected & EVENT_VALID) && !((event ^ injected) & (EVENT_TYPE | EVENT_VECTOR)))
		return event;
	return svm_event_has_next_rip(event) ? 0 : event;
}

#endif
