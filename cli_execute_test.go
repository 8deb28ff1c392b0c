package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is printed before an execution ends up in logs of scripts: no secret does.
func TestSecretsOfParametersAreNotShown(t *testing.T) {
	given := map[string]any{
		"username": "lee", "password": "long and secret", "is_secret": true, "value": "hidden",
		"account": map[string]any{"domain": "git.example.com", "token": "ghp"},
	}
	want := map[string]any{
		"username": "lee", "password": "•••", "is_secret": true, "value": "•••",
		"account": map[string]any{"domain": "git.example.com", "token": "•••"},
	}
	if diff := cmp.Diff(want, unsecret(given)); diff != "" {
		t.Error(diff)
	}
	if given["password"] != "long and secret" {
		t.Error("what is sent was changed too")
	}
}
