package resource

import (
	"fmt"
	"strings"
	"testing"
)

// Row 41: a key that stands twice, one of the wrong type and one that is misspelt is
// named with file and line, for every setting of every kind; neither of the first
// two leaves anything to apply.
func TestRow41EveryKey(t *testing.T) {
	d := newDesk()
	checked := 0
	for _, k := range d.Kinds() {
		for _, f := range k.Fields() {
			if f.Name == "name" || k.Name() == "builder" { // whose settings are of a type: see the samples
				continue
			}
			checked++
			head := fmt.Sprintf("[[%s]]\nname = \"a\"\n", k.Name())
			if !k.flatKind() {
				head += fmt.Sprintf("[%s.config]\n", k.Name())
			}
			line := strings.Count(head, "\n") + 1
			wrong := f.Name + " = 1979-05-27T07:32:00Z\n" // no setting is a time
			at := fmt.Sprintf("a.toml:%d:", line)
			if err := d.planScope(t, Scope{}, head+wrong).Err(); err == nil || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), f.Name) {
				t.Errorf("%s.%s of the wrong type: %v", k.Name(), f.Name, err)
			}
			at = fmt.Sprintf("a.toml:%d:", line+1)
			if err := d.planScope(t, Scope{}, head+wrong+wrong).Err(); err == nil || !strings.Contains(err.Error(), at) {
				t.Errorf("%s.%s twice: %v", k.Name(), f.Name, err)
			}
			p := d.planScope(t, Scope{}, head+f.Name+"_x = 1\n")
			at = fmt.Sprintf("a.toml:%d:", line)
			if len(p.Issues) == 0 || !p.Issues[0].Warning || !strings.Contains(p.Issues[0].String(), at) || !strings.Contains(p.Issues[0].String(), f.Name+"_x") {
				t.Errorf("%s.%s misspelt: %v", k.Name(), f.Name, p.Issues)
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d settings", checked)
	}
}
