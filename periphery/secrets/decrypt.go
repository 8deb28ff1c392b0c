package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"

	"berth/schema"
)

// MaxFile is the size in bytes above which a sops file is refused.
const MaxFile = 8 << 20

// Content is a decrypted file.
type Content struct {
	Plain  []byte
	Values []Value // what was encrypted in it: the values to mask
}

// Decrypt returns the plain text of a sops file, after its MAC was verified.
// The format follows from the file's name as the sops tool does it: .env,
// .yaml and .yml, .json, .ini, anything else is binary. Codes: NotFound (no key
// on this host), Denied (not encrypted for this host), Unsupported (no age key
// in it), Invalid (not a sops file, damaged, tampered with), TooLarge.
func (k *Keys) Decrypt(path string, data []byte) ([]byte, error) {
	c, err := k.Reveal(path, data)
	return c.Plain, err
}

// Reveal is Decrypt that also returns the values that were encrypted in the
// file. Values that stood in the clear in it are not among them.
func (k *Keys) Reveal(path string, data []byte) (c Content, err error) {
	defer func() {
		// The stores were written for files of friends; a panic's text may quote
		// the file, so it is dropped.
		if r := recover(); r != nil {
			c, err = Content{}, schema.Errorf(schema.Invalid, "decrypt %s: the file is damaged: restore it from git and encrypt it again with sops", path)
		}
	}()
	tree, err := load(path, data)
	if err != nil {
		return Content{}, err
	}
	key, err := k.dataKey(path, tree)
	if err != nil {
		return Content{}, err
	}
	sealed := leaves(tree.Branches)
	if err := openTree(path, tree, key); err != nil {
		return Content{}, err
	}
	plain, err := storeFor(path).EmitPlainFile(tree.Branches)
	if err != nil {
		return Content{}, schema.Errorf(schema.Invalid, "decrypt %s: its contents do not fit the format of its name (%s)", path, formatOf(path))
	}
	return Content{Plain: plain, Values: revealed(formatOf(path), sealed, leaves(tree.Branches))}, nil
}

// load reads the encrypted tree and its metadata.
func load(path string, data []byte) (*sops.Tree, error) {
	if len(data) > MaxFile {
		return nil, schema.Errorf(schema.TooLarge, "decrypt %s: the file has %d bytes, the limit is %d", path, len(data), MaxFile)
	}
	tree, err := storeFor(path).LoadEncryptedFile(data)
	switch {
	case errors.Is(err, sops.MetadataNotFound):
		return nil, schema.Errorf(schema.Invalid,
			"decrypt %s: it is not encrypted (no sops metadata in it): encrypt it with: sops -e -i %s, and treat what was committed as known to others", path, filepath.Base(path))
	case err != nil && !bytes.Contains(data, []byte("sops")):
		return nil, schema.Errorf(schema.Invalid, "decrypt %s: it is no sops file: %s", path, shape(path, err))
	case err != nil:
		return nil, schema.Errorf(schema.Invalid, "decrypt %s: the sops file is damaged: %s", path, shape(path, err))
	}
	return &tree, nil
}

// dataKey recovers the key of the file's values with the host's identities.
func (k *Keys) dataKey(path string, tree *sops.Tree) ([]byte, error) {
	recipients, others := keysOf(tree)
	host := k.Recipients()
	if len(recipients) == 0 {
		return nil, schema.Errorf(schema.Unsupported, "decrypt %s: it is encrypted with %s only; this host opens age: add its recipient%s and run: sops updatekeys %s",
			path, orNone(others), list(host), filepath.Base(path))
	}
	if len(host) == 0 {
		return nil, k.noKey(path, recipients)
	}
	svc := keyservice.NewCustomLocalClient(&ageService{identities: k.identities})
	key, err := tree.Metadata.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{svc}, []string{sopsage.KeyTypeIdentifier})
	if err == nil {
		return key, nil
	}
	mine := slices.ContainsFunc(recipients, func(r string) bool { return slices.Contains(host, r) })
	switch {
	case len(tree.Metadata.KeyGroups) > 1:
		return nil, schema.Errorf(schema.Unsupported, "decrypt %s: it needs keys of %d of its %d key groups (Shamir's sharing) and this host has too few: encrypt it with a single key group that holds%s",
			path, tree.Metadata.ShamirThreshold, len(tree.Metadata.KeyGroups), list(host))
	case mine:
		return nil, schema.Errorf(schema.Invalid, "decrypt %s: it names this host's recipient%s, but the key stored for it is damaged: restore the file from git, or run: sops updatekeys %s",
			path, list(host), filepath.Base(path))
	}
	return nil, schema.Errorf(schema.Denied, "decrypt %s: it is not encrypted for this host: its recipients are%s; this host is%s: add that to .sops.yaml and run: sops updatekeys %s",
		path, list(recipients), list(host), filepath.Base(path))
}

func (k *Keys) noKey(path string, recipients []string) error {
	where := "no key file is configured"
	if k != nil && len(k.searched) > 0 {
		where = "looked for " + strings.Join(k.searched, ", ")
	}
	file := "/etc/sops/age/keys.txt"
	if k != nil && len(k.searched) > 0 {
		file = k.searched[0]
	}
	return schema.Errorf(schema.NotFound, "decrypt %s: there is no age key on this host (%s): put the key of one of its recipients%s into %s and run: chmod 600 %s",
		path, where, list(recipients), file, file)
}

// openTree decrypts the tree in place and verifies its MAC.
func openTree(path string, tree *sops.Tree, key []byte) error {
	cipher := aes.NewCipher()
	mac, err := tree.Decrypt(key, cipher)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "does not match sops' data format"), strings.Contains(err.Error(), "Expected encrypted value"):
		return schema.Errorf(schema.Invalid, "decrypt %s: a value in it is not encrypted, it was edited without sops: edit it with: sops %s", path, filepath.Base(path))
	default:
		return schema.Errorf(schema.Invalid, "decrypt %s: a value in it was changed or moved after it was encrypted (authentication failed): restore the file from git, or edit it with: sops %s", path, filepath.Base(path))
	}
	stored, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, key, tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil {
		return schema.Errorf(schema.Invalid, "decrypt %s: its MAC or its lastmodified was changed: restore the file from git", path)
	}
	if stored != mac {
		return schema.Errorf(schema.Invalid, "decrypt %s: MAC mismatch: keys were added, removed or changed without sops (or git merged two versions): restore the file from git, or edit it with: sops --ignore-mac %s", path, filepath.Base(path))
	}
	return nil
}

// ageService opens data keys with given age identities and nothing else.
type ageService struct {
	identities []age.Identity
}

// Encrypt is refused: the agent only reads.
func (s *ageService) Encrypt(context.Context, *keyservice.EncryptRequest) (*keyservice.EncryptResponse, error) {
	return nil, errors.ErrUnsupported
}

// Decrypt opens a data key that is encrypted with age.
func (s *ageService) Decrypt(_ context.Context, req *keyservice.DecryptRequest) (*keyservice.DecryptResponse, error) {
	if _, ok := req.Key.KeyType.(*keyservice.Key_AgeKey); !ok {
		return nil, errors.ErrUnsupported
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(req.Ciphertext)), s.identities...)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

// keysOf returns the age recipients of a file and the other kinds of its keys.
func keysOf(tree *sops.Tree) (recipients, others []string) {
	for _, group := range tree.Metadata.KeyGroups {
		for _, key := range group {
			if a, ok := key.(*sopsage.MasterKey); ok {
				recipients = append(recipients, a.Recipient)
			} else if kind := key.TypeToIdentifier(); !slices.Contains(others, kind) {
				others = append(others, kind)
			}
		}
	}
	return recipients, others
}

// formatOf names the format that the sops tool gives a file by its name.
func formatOf(path string) string {
	switch {
	case strings.HasSuffix(path, ".yaml"), strings.HasSuffix(path, ".yml"):
		return "yaml"
	case strings.HasSuffix(path, ".json"):
		return "json"
	case strings.HasSuffix(path, ".env"):
		return "dotenv"
	case strings.HasSuffix(path, ".ini"):
		return "ini"
	}
	return "binary"
}

func storeFor(path string) sops.Store {
	c := config.NewStoresConfig()
	switch formatOf(path) {
	case "yaml":
		return yaml.NewStore(&c.YAML)
	case "json":
		return json.NewStore(&c.JSON)
	case "dotenv":
		return dotenv.NewStore(&c.Dotenv)
	case "ini":
		return ini.NewStore(&c.INI)
	}
	return json.NewBinaryStore(&c.JSONBinary)
}

// shape says what is wrong with a file that cannot be parsed, in our words: the
// library's quote it.
func shape(path string, err error) string {
	text := "it is not valid " + formatOf(path)
	if m := regexp.MustCompile(`\bline (\d+)`).FindStringSubmatch(err.Error()); m != nil {
		text += fmt.Sprintf(" (line %s)", m[1])
	}
	return text
}

func list(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return " " + strings.Join(items, ", ")
}

func orNone(items []string) string {
	if len(items) == 0 {
		return "no key"
	}
	return strings.Join(items, ", ")
}
