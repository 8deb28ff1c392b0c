package script

import _ "embed"

// prelude is what stands in every interpreter before the script: the console, the
// client, and words on what is not there.
//
//go:embed prelude.js
var prelude string

// typeNames are the enumerations of the published client that are values.
//
//go:embed types.json
var typeNames string
