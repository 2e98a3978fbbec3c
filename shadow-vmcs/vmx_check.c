/*
 * The rules of VM entry as a table, by number, from vmx_check_rules.def. The conditions themselves
 * are in vmx_check_controls.c, vmx_check_host.c, vmx_check_guest.c and vmx_check_segments.c.
 */
#include "shadow-vmcs/vmx_check.h"

#include "shadow-vmcs/vmx_check_rule.h"

#define VMX_AREA(AREA, title, number) static const struct vmx_area area_##AREA = { title, number };
#include "shadow-vmcs/vmx_check_rules.def"

const struct vmx_rule vmx_rules[RULE_COUNT] = {
#define VMX_RULE(ID, AREA, qualification, text) [RULE_##ID] = { text, &area_##AREA, qualification },
#include "shadow-vmcs/vmx_check_rules.def"
};

bool vmx_check_verdict(enum vmx_rule_id failed, struct vmx_verdict *out)
{
	out->rule = &vmx_rules[failed];
	out->qualification = vmx_rules[failed].qualification;
	return false;
}
