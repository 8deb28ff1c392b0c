package compose

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"berth/schema"
)

// Inputs are all that feeds a service, by name, as digests:
//
//	field:ports        a field of the service's definition
//	env:PORT           a variable of its environment
//	image:web:1.2      the image's id on this host
//	file:conf/x.conf   a file of the stack that is mounted
//	secret:db config:x the contents of a secret or config
//	network:n volume:v the definition of a network or volume it uses
//	build:app          the folder it is built from, where it is built
//
// All but the image's are keyed: they say that something is the same, not what.
type Inputs map[string]string

// Limits of what is read to tell whether a folder changed. Beyond them files are
// judged by size and time.
const (
	maxFiles    = 5000
	maxNamed    = 100 // of one mount; a folder with more is told as one
	maxFileSize = 8 << 20
)

// Inputs reads what feeds each service of the plan as things are now. After a pull
// or build the images' ids are the new ones.
func (p *Plan) Inputs(ctx context.Context) (map[string]Inputs, error) {
	images := map[string]string{}
	out := map[string]Inputs{}
	for name, service := range p.project.Services {
		in := Inputs{}
		if err := p.fieldInputs(service, in); err != nil {
			return nil, err
		}
		if err := p.contentInputs(service, in); err != nil {
			return nil, err
		}
		ref := api.GetImageNameOrDefault(service, p.project.Name)
		if _, ok := images[ref]; !ok {
			img, err := p.d.engine.Image(ctx, ref)
			if err != nil && schema.CodeOf(err) != schema.NotFound {
				return nil, err
			}
			images[ref] = img.ID
		}
		in["image:"+ref] = images[ref]
		if service.Build != nil && (p.builds(service) || images[ref] == "") {
			if err := p.buildInputs(ctx, service, in); err != nil {
				return nil, err
			}
		}
		out[name] = in
	}
	return out, nil
}

// fieldInputs adds the service's definition, field by field.
func (p *Plan) fieldInputs(s types.ServiceConfig, in Inputs) error {
	for k, v := range s.Environment {
		if v == nil {
			in["env:"+k] = p.d.digest([]byte("unset"))
		} else {
			in["env:"+k] = p.d.digest([]byte("env"), []byte(*v))
		}
	}
	// The image is told by its id; the rest does not change what runs.
	s.Environment, s.PullPolicy, s.Profiles, s.Build, s.Image = nil, "", nil, nil, ""
	text, err := json.Marshal(s)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "read definition of service %q", s.Name)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return schema.Wrap(schema.Internal, err, "read definition of service %q", s.Name)
	}
	for k, v := range fields {
		if string(v) != "null" {
			in["field:"+k] = p.d.digest([]byte(k), v)
		}
	}
	for name := range s.Networks {
		text, _ := json.Marshal(p.project.Networks[name])
		in["network:"+name] = p.d.digest([]byte("network"), text)
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			text, _ := json.Marshal(p.project.Volumes[v.Source])
			in["volume:"+v.Source] = p.d.digest([]byte("volume"), text)
		}
	}
	return nil
}

// contentInputs adds what compose's own hash does not know: contents of secrets,
// configs and mounted files.
func (p *Plan) contentInputs(s types.ServiceConfig, in Inputs) error {
	for _, ref := range s.Secrets {
		text, err := p.content(types.FileObjectConfig(p.project.Secrets[ref.Source]))
		if err != nil {
			return schema.Wrap(schema.NotFound, err, "read secret %q of service %q: %s", ref.Source, s.Name, reason(err, p.spec.Dir))
		}
		in["secret:"+ref.Source] = p.d.digest([]byte("secret"), text)
	}
	for _, ref := range s.Configs {
		text, err := p.content(types.FileObjectConfig(p.project.Configs[ref.Source]))
		if err != nil {
			return schema.Wrap(schema.NotFound, err, "read config %q of service %q: %s", ref.Source, s.Name, reason(err, p.spec.Dir))
		}
		if path, ok := strings.CutPrefix(ref.Source, "berth-memory:"); ok {
			in["file:"+path] = p.d.digest([]byte("file"), text)
			continue
		}
		in["config:"+ref.Source] = p.d.digest([]byte("config"), text)
	}
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if err := p.mountInputs(v, in); err != nil {
			return schema.Wrap(schema.Failed, err, "read %s, mounted by service %q: %s", p.spec.short(v.Source), s.Name, reason(err, p.spec.Dir))
		}
	}
	return nil
}

func (p *Plan) content(o types.FileObjectConfig) ([]byte, error) {
	switch {
	case o.Content != "":
		return []byte(o.Content), nil
	case o.Environment != "":
		v := p.project.Environment[o.Environment]
		return []byte(v), nil
	case o.File == "": // external
		return []byte(o.Name), nil
	}
	st, err := os.Stat(o.File)
	if err != nil || !st.IsDir() {
		return p.spec.readFile(o.File)
	}
	var all []byte // a folder as a config
	err = filepath.WalkDir(o.File, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			all = append(all, path+"\x00"+p.fileDigest(path)+"\x00"...)
		}
		return err
	})
	return all, err
}

// mountInputs adds the stack's own files below a bind mount. Data that containers
// keep beside them is none of our business, and may be unreadable.
func (p *Plan) mountInputs(v types.ServiceVolumeConfig, in Inputs) error {
	own := p.spec.Tracked
	switch {
	case own != nil && !p.spec.OnHost:
	case v.ReadOnly && !filepath.IsAbs(p.spec.short(v.Source)):
		own = func(string) bool { return true }
	case own == nil:
		return nil
	}
	st, err := os.Stat(v.Source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // compose decides: it makes a folder or refuses
	}
	if err != nil {
		return err
	}
	if !st.IsDir() {
		if own(v.Source) {
			in["file:"+p.spec.short(v.Source)] = p.fileDigest(v.Source)
		}
		return nil
	}
	files := Inputs{}
	err = filepath.WalkDir(v.Source, func(path string, e fs.DirEntry, err error) error {
		if err != nil || len(files) > maxFiles {
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() || !own(path) {
			return nil
		}
		files["file:"+p.spec.short(path)] = p.fileDigest(path)
		return nil
	})
	if len(files) > maxNamed {
		in["file:"+p.spec.short(v.Source)+"/"] = p.contentDigest(files)
		return err
	}
	maps.Copy(in, files)
	return err
}

// fileDigest is the digest of a file's contents and mode, of a link's target, or
// of why it cannot be read.
func (p *Plan) fileDigest(path string) string {
	if target, err := os.Readlink(path); err == nil {
		return p.d.digest([]byte("link"), []byte(target))
	}
	f, err := os.Open(path)
	if err != nil {
		return p.d.digest([]byte("error"), []byte(reason(err, "")))
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return p.d.digest([]byte("error"), []byte(reason(err, "")))
	}
	mode := []byte("file")
	if st.Mode()&0o111 != 0 {
		mode = []byte("executable")
	}
	if st.Size() > maxFileSize || !st.Mode().IsRegular() {
		return p.d.digest(mode, []byte(st.ModTime().UTC().String()), []byte{byte(st.Size() >> 16)})
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return p.d.digest([]byte("error"), []byte(reason(err, "")))
	}
	return p.d.digest(mode, text)
}

// contentDigest is the digest of those inputs that compose does not know: the
// label by which a running container tells what it was started with.
func (p *Plan) contentDigest(in Inputs) string {
	var parts [][]byte
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if contentInput(name) {
			parts = append(parts, []byte(name), []byte(in[name]))
		}
	}
	return p.d.digest(parts...)
}

func contentInput(name string) bool {
	kind, _, _ := strings.Cut(name, ":")
	return kind == "file" || kind == "secret" || kind == "config"
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
