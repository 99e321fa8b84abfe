package acl

import (
	"fmt"

	"golang.org/x/sys/windows"
)

func shareProcess(accounts []string) error {
	self := windows.CurrentProcess()
	sd, err := windows.GetSecurityInfo(self, windows.SE_KERNEL_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read own access list: %w", err)
	}
	old, _, err := sd.DACL()
	if err != nil {
		return fmt.Errorf("read own access list: %w", err)
	}
	var entries []windows.EXPLICIT_ACCESS
	for _, account := range accounts {
		sid, err := lookup(account)
		if err != nil {
			return err
		}
		entries = append(entries, windows.EXPLICIT_ACCESS{
			AccessPermissions: windows.PROCESS_DUP_HANDLE, AccessMode: windows.GRANT_ACCESS,
			Trustee: windows.TRUSTEE{
				TrusteeForm: windows.TRUSTEE_IS_SID, TrusteeType: windows.TRUSTEE_IS_UNKNOWN,
				TrusteeValue: windows.TrusteeValueFromSID(sid),
			},
		})
	}
	list, err := windows.ACLFromEntries(entries, old)
	if err != nil {
		return fmt.Errorf("make access list: %w", err)
	}
	err = windows.SetSecurityInfo(self, windows.SE_KERNEL_OBJECT, windows.DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	if err != nil {
		return fmt.Errorf("change own access list: %w", err)
	}
	return nil
}
