// Command judge tells what GitOps tools make of a resource: Flux through kstatus, Argo CD through a Lua script.
//
// On stdin: {"resources": [...], "scripts": {"<Kind>": "<Lua>"}}. On stdout, for each resource in order:
// {"kstatus": {"status", "message"}, "argocd": {"status", "message"}}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type question struct {
	Resources []map[string]any  `json:"resources"`
	Scripts   map[string]string `json:"scripts"`
}

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type answer struct {
	Kstatus verdict `json:"kstatus"`
	ArgoCD  verdict `json:"argocd"`
}

func main() {
	log.SetFlags(0)
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatalf("judge: reading the question: %v", err)
	}
	answers := []answer{}
	for i, resource := range asked.Resources {
		answered, err := judge(resource, asked.Scripts)
		if err != nil {
			log.Fatalf("judge: resource %d: %v", i, err)
		}
		answers = append(answers, answered)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatalf("judge: writing the answers: %v", err)
	}
}

func judge(resource map[string]any, scripts map[string]string) (answer, error) {
	// Whole numbers become int64, as in a client of Kubernetes; kstatus takes no others.
	raw, err := json.Marshal(resource)
	if err != nil {
		return answer{}, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(raw); err != nil {
		return answer{}, err
	}
	computed, err := status.Compute(object)
	if err != nil {
		return answer{}, fmt.Errorf("kstatus: %w", err)
	}
	healthy, err := run(scripts[object.GetKind()], object.Object)
	if err != nil {
		return answer{}, fmt.Errorf("health.lua: %w", err)
	}
	return answer{verdict{string(computed.Status), computed.Message}, healthy}, nil
}

// run gives a script what Argo CD gives it: these libraries and no other, one second, and the resource as `obj`.
// It returns an error where Argo CD would show the health Unknown.
func run(script string, object map[string]any) (verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	}
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		call := lua.P{Fn: state.NewFunction(libraries[name]), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return verdict{}, err
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return verdict{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return verdict{}, fmt.Errorf("returned %s, want a table", state.Get(-1).Type())
	}
	said := verdict{lua.LVAsString(table.RawGetString("status")), lua.LVAsString(table.RawGetString("message"))}
	switch said.Status {
	case "Healthy", "Progressing", "Suspended", "Degraded", "Missing", "Unknown":
		return said, nil
	}
	return verdict{}, fmt.Errorf("status %q is none of Argo CD's", said.Status)
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}
