package api

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// variable is a variable as clients read it. A secret's value is never shown.
type variable struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Value       string `json:"value"`
	IsSecret    bool   `json:"is_secret"`
}

func variableOf(raw json.RawMessage) (variable, error) {
	var r schema.Resource[schema.VariableConfig]
	err := json.Unmarshal(raw, &r)
	return variable{Name: r.Name, Description: r.Description, Value: r.Config.Value, IsSecret: r.Config.IsSecret}, err
}

type variableName struct {
	Name string `json:"name" doc:"Name of the variable."`
}

func (a *API) variableRows() []Row {
	k, err := a.deps.Kinds.Kind("variable")
	if err != nil {
		return nil
	}
	v := variables{a, k}
	example := func(kv ...any) map[string]any {
		m := map[string]any{"name": "DOMAIN"}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = kv[i+1] //nolint:forcetypeassert // keys are written below
		}
		return m
	}
	return []Row{
		Read(spec{name: "GetVariable", doc: "Show a variable; the value of a secret one is masked.", needs: access.AnyUser, example: example()}, v.get),
		Read(spec{name: "ListVariables", doc: "List the variables; values of secret ones are masked.", needs: access.AnyUser, example: map[string]any{}}, v.list),
		Write(spec{name: "CreateVariable", doc: "Create a variable.", needs: access.IsAdmin, example: example("value", "example.com")}, v.create),
		Write(spec{name: "UpdateVariableValue", doc: "Change a variable's value.", needs: access.IsAdmin, example: example("value", "example.org")}, v.setValue),
		Write(spec{name: "UpdateVariableDescription", doc: "Change a variable's description.", needs: access.IsAdmin, example: example("description", "Our domain.")}, v.setDescription),
		Write(spec{name: "UpdateVariableIsSecret", doc: "Make a variable a secret, or not.", needs: access.IsAdmin, example: example("is_secret", true)}, v.setSecret),
		Write(spec{
			name: "SaveVariable", own: true, doc: "Change settings of a variable, which is created if there is none.", needs: access.IsAdmin,
			example: example("config", map[string]any{"value": "example.com"}),
		}, v.save),
		Write(spec{name: "DeleteVariable", doc: "Delete a variable.", needs: access.IsAdmin, example: example()}, v.remove),
	}
}

// variables are the handlers of variableRows.
type variables struct {
	a *API
	k resource.Any
}

func (v variables) get(ctx context.Context, p variableName) (variable, error) {
	raw, err := v.k.Show(ctx, p.Name)
	if err != nil {
		return variable{}, err
	}
	return variableOf(raw)
}

func (v variables) list(ctx context.Context, _ None) ([]variable, error) {
	list, err := v.k.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]variable, len(list))
	for i, raw := range list {
		if out[i], err = variableOf(raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type createVariable struct {
	Name        string `json:"name" doc:"Letters, digits and _."`
	Value       string `json:"value,omitempty" doc:"The value."`
	Description string `json:"description,omitempty" doc:"Free text."`
	IsSecret    bool   `json:"is_secret,omitempty" doc:"Sealed at rest and never shown again."`
}

func (v variables) create(ctx context.Context, p createVariable) (variable, error) {
	raw, _, err := v.a.edited(ctx, "Create", v.k, "", func() (json.RawMessage, error) {
		return v.k.Create(ctx, p.Name, config("value", p.Value, "is_secret", p.IsSecret))
	})
	if err != nil || p.Description == "" {
		out, _ := variableOf(raw)
		return out, err
	}
	return v.describe(ctx, p.Name, p.Description)
}

func (v variables) describe(ctx context.Context, name, text string) (variable, error) {
	raw, err := v.k.Describe(ctx, name, resource.Meta{Description: &text})
	if err != nil {
		return variable{}, err
	}
	return variableOf(raw)
}

func (v variables) set(ctx context.Context, name string, patch []byte) (variable, error) {
	raw, _, err := v.a.edited(ctx, "Update", v.k, name, func() (json.RawMessage, error) { return v.k.Update(ctx, name, patch) })
	if err != nil {
		return variable{}, err
	}
	return variableOf(raw)
}

type variableValue struct {
	Name  string `json:"name" doc:"Name of the variable."`
	Value string `json:"value" doc:"The new value."`
}

func (v variables) setValue(ctx context.Context, p variableValue) (variable, error) {
	return v.set(ctx, p.Name, config("value", p.Value))
}

type variableDescription struct {
	Name        string `json:"name" doc:"Name of the variable."`
	Description string `json:"description" doc:"Free text."`
}

func (v variables) setDescription(ctx context.Context, p variableDescription) (variable, error) {
	return v.describe(ctx, p.Name, p.Description)
}

type variableSecret struct {
	Name     string `json:"name" doc:"Name of the variable."`
	IsSecret bool   `json:"is_secret" doc:"Whether it is a secret."`
}

func (v variables) setSecret(ctx context.Context, p variableSecret) (variable, error) {
	return v.set(ctx, p.Name, config("is_secret", p.IsSecret))
}

type variableConfig struct {
	Name   string          `json:"name" doc:"Name of the variable."`
	Config json.RawMessage `json:"config" doc:"Settings to change, {value, is_secret}; the others stay."`
}

func (v variables) save(ctx context.Context, p variableConfig) (variable, error) {
	out, err := v.set(ctx, p.Name, p.Config)
	if schema.CodeOf(err) != schema.NotFound {
		return out, err
	}
	raw, _, err := v.a.edited(ctx, "Create", v.k, "", func() (json.RawMessage, error) { return v.k.Create(ctx, p.Name, p.Config) })
	if err != nil {
		return variable{}, err
	}
	return variableOf(raw)
}

func (v variables) remove(ctx context.Context, p variableName) (variable, error) {
	was, err := v.get(ctx, p)
	if err != nil {
		return was, err
	}
	_, _, err = v.a.edited(ctx, "Delete", v.k, p.Name, func() (json.RawMessage, error) { return nil, v.k.Delete(ctx, p.Name) })
	return was, err
}

// config is a JSON object of keys and values.
func config(kv ...any) []byte {
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		if key, ok := kv[i].(string); ok {
			m[key] = kv[i+1]
		}
	}
	b, _ := json.Marshal(m) // plain values
	return b
}
