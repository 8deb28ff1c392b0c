package schema

// BuilderConfig is the settings of a builder: what builds run on.
type BuilderConfig struct { //nolint:recvcheck // decoding writes, all else reads
	Type   string
	URL    *URLBuilder    `variant:"Url"`
	Server *ServerBuilder `variant:"Server"`
	AWS    *AWSBuilder    `variant:"Aws"`
}

// URLBuilder is an agent by its address. Here agents dial core: the address is the
// name of the server it joined as, or the external address of one.
type URLBuilder struct {
	Address            string `json:"address" doc:"Address of the agent; here: the server with that name, address or external address."`
	PeripheryPublicKey string `json:"periphery_public_key" doc:"Kept for old files; every agent has proved its key."`
	InsecureTLS        bool   `json:"insecure_tls" doc:"Kept for old files; without effect, since core never dials."`
	Passkey            string `json:"passkey" secret:"true" doc:"Kept for old files; without effect."`
}

func (b *URLBuilder) setDefaults() {
	*b = URLBuilder{Address: "https://periphery:8120", InsecureTLS: true}
}

// ServerBuilder is one or more servers.
type ServerBuilder struct {
	ServerIDs StrList `json:"server_ids" alias:"server_id,server,servers" ref:"server" doc:"Servers to build on; the least busy one is taken."`
}

func (b *ServerBuilder) setDefaults() { *b = ServerBuilder{ServerIDs: StrList{}} }

// AWSBuilder is an EC2 instance per build. It is kept; builds on it are refused.
type AWSBuilder struct {
	Region             string              `json:"region" doc:"AWS region."`
	InstanceType       string              `json:"instance_type" doc:"EC2 type."`
	VolumeGB           int                 `json:"volume_gb" doc:"Size of the root volume in GB."`
	AMI                string              `json:"ami_id" doc:"Machine image."`
	Subnet             string              `json:"subnet_id" doc:"Subnet."`
	KeyPair            string              `json:"key_pair_name" doc:"Key pair."`
	AssignPublicIP     bool                `json:"assign_public_ip" doc:"Give the instance a public address."`
	UsePublicIP        bool                `json:"use_public_ip" doc:"Talk to the public address."`
	SecurityGroups     StrList             `json:"security_group_ids" doc:"Security groups."`
	UserData           string              `json:"user_data" widget:"area" doc:"Cloud-init user data."`
	Port               int                 `json:"port" doc:"Port of the agent."`
	UseHTTPS           bool                `json:"use_https" doc:"Talk TLS to it."`
	PeripheryPublicKey string              `json:"periphery_public_key" doc:"Key of the agent."`
	InsecureTLS        bool                `json:"insecure_tls" doc:"Do not verify its certificate."`
	GitProviders       []BuilderGit        `json:"git_providers" code:"list<GitProvider>" doc:"Git accounts on the machine image, for people."`
	ImageRegistries    []BuilderRegistries `json:"image_registries" code:"list<ImageRegistryProvider>" doc:"Registry accounts on the machine image, for people."`
	Secrets            StrList             `json:"secrets" doc:"Names of the secrets on the machine image, for people."`
}

func (b *AWSBuilder) setDefaults() {
	*b = AWSBuilder{
		Region: "us-east-1", InstanceType: "c5.2xlarge", VolumeGB: 20, SecurityGroups: StrList{}, Port: 8120, UseHTTPS: true,
		InsecureTLS: true, GitProviders: []BuilderGit{}, ImageRegistries: []BuilderRegistries{}, Secrets: StrList{},
	}
}

// BuilderGit is a git host that a machine image has accounts of.
type BuilderGit struct {
	Domain   string           `json:"domain" doc:"Host."`
	HTTPS    bool             `json:"https" doc:"Over https, else http."`
	Accounts []BuilderAccount `json:"accounts" alias:"account" required:"true" doc:"The accounts."`
}

func (g *BuilderGit) setDefaults() {
	*g = BuilderGit{Domain: "github.com", HTTPS: true, Accounts: []BuilderAccount{}}
}

// BuilderRegistries is a registry that a machine image has accounts of.
type BuilderRegistries struct {
	Domain        string           `json:"domain" doc:"Host."`
	Accounts      []BuilderAccount `json:"accounts" alias:"account" required:"true" doc:"The accounts."`
	Organizations []string         `json:"organizations" alias:"organization" doc:"Namespaces."`
}

func (g *BuilderRegistries) setDefaults() {
	*g = BuilderRegistries{Domain: "docker.io", Accounts: []BuilderAccount{}, Organizations: []string{}}
}

// BuilderAccount is an account.
type BuilderAccount struct {
	Username string `json:"username" alias:"account" required:"true" doc:"Name."`
	Token    string `json:"token" secret:"true" doc:"Token."`
}

// DefaultBuilder returns the settings of a builder that declares none.
func DefaultBuilder() BuilderConfig {
	url := new(URLBuilder)
	url.setDefaults()
	return BuilderConfig{Type: "Url", URL: url}
}

func (c *BuilderConfig) setDefaults() { *c = DefaultBuilder() }

// MarshalJSON writes { type, params }.
func (c BuilderConfig) MarshalJSON() ([]byte, error) { return marshalUnion(c) }

// UnmarshalJSON reads { type, params }.
func (c *BuilderConfig) UnmarshalJSON(b []byte) error { return unmarshalTree(b, c) }
