package schema

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	sopsAda = "age1lzd99uklcjnc0e7d860axevet2cz99ce9pq6tzuzd05l5nr28ams36nvun"
	sopsBob = "age1s3cqcks5genc6ru8chl0hkkd04zmxvczsvdxq99ekffe4gmvjpzsedk23c"
)

func TestRow35RecipientsInAllFormats(t *testing.T) {
	for name, text := range map[string]string{
		"yaml":   "a: ENC[AES256_GCM,data:x]\nsops:\n    age:\n        - recipient: " + sopsAda + "\n          enc: |\n            x\n        - recipient: " + sopsBob + "\n",
		"json":   `{"a": "ENC[AES256_GCM,data:x]", "sops": {"age": [{"recipient": "` + sopsAda + `", "enc": "x"}, {"recipient": "` + sopsBob + `"}]}}`,
		"dotenv": "A=ENC[AES256_GCM,data:x]\nsops_age__list_0__map_recipient=" + sopsAda + "\nsops_age__list_1__map_recipient=" + sopsBob + "\n",
		"ini":    "[sops]\nage__list_0__map_recipient = " + sopsAda + "\nage__list_1__map_recipient = " + sopsBob + "\n",
	} {
		if diff := cmp.Diff([]string{sopsAda, sopsBob}, SopsRecipients([]byte(text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := CheckSops("web/.sops.env", []byte(text), "nexus", []string{sopsBob}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		err := CheckSops("web/.sops.env", []byte(text), "nexus", []string{"age1other"})
		want := "web/.sops.env cannot be decrypted on server \"nexus\": it is encrypted for " + sopsAda + ", " + sopsBob +
			": add recipient age1other of server \"nexus\" to .sops.yaml and run: sops updatekeys web/.sops.env"
		if CodeOf(err) != Denied || SafeText(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRow35NothingIsSaidOfOtherFiles(t *testing.T) {
	for _, text := range []string{"", "A=b\n", "creation_rules:\n  - age: " + sopsAda + "\n", "sops:\n  pgp: []\n"} {
		if err := CheckSops(".sops.yaml", []byte(text), "nexus", []string{sopsBob}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := CheckSops(".sops.env", []byte("sops_age__list_0__map_recipient="+sopsAda), "nexus", nil); err != nil {
		t.Error("the server's recipients are not known:", err)
	}
}

func TestSopsNamed(t *testing.T) {
	for name, want := range map[string]bool{".sops.env": true, "a/app.sops.yaml": true, "x.sops.json": true, "sops.env": false, ".env": false, "a.sops.txt": false} {
		if SopsNamed(name) != want {
			t.Error(name)
		}
	}
}
