package access

import (
	"encoding/base32"
	"testing"
	"time"
)

// TestMatchCode checks codes against appendix B of RFC 6238, cut to six digits.
func TestMatchCode(t *testing.T) {
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("12345678901234567890"))
	for at, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step := at / codeStep
		for _, skew := range []int64{-30, 0, 30} {
			if got, ok := matchCode(secret, code, time.Unix(at+skew, 0), 0); !ok || got != step {
				t.Errorf("code %s at %d%+d s: step %d, %v; want %d", code, at, skew, got, ok, step)
			}
		}
		for _, skew := range []int64{-60, 60} {
			if _, ok := matchCode(secret, code, time.Unix(step*codeStep+skew, 0), 0); ok {
				t.Errorf("code %s is good %+d s away", code, skew)
			}
		}
		if _, ok := matchCode(secret, code, time.Unix(at, 0), step); ok {
			t.Errorf("code %s is good twice", code)
		}
	}
}
