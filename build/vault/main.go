// Vault is a development server for one test: HashiCorp Vault's own core,
// storage in memory, unsealed, with key-value secrets, AppRole, and dynamic
// credentials of PostgreSQL. Vault's own command is not made to be built as a
// module; these parts of it are.
//
//	vault 127.0.0.1:8200
//
// prints the root token once it serves, and ends with its standard input.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/database"
	"github.com/hashicorp/vault/command/server"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/plugins/database/postgresql"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: vault ADDRESS")
	}
	core, token, err := open(ctx)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		return err
	}
	properties := &vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}}
	go http.Serve(l, vaulthttp.Handler.Handler(properties))
	fmt.Println(token)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// open gives a core that is initialized, unsealed and active, and its root token.
func open(ctx context.Context) (*vault.Core, string, error) {
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Warn})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return nil, "", err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, Logger: logger, DisableMlock: true, RawConfig: new(server.Config), BuiltinRegistry: plugins{},
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory, "database": database.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
	})
	if err != nil {
		return nil, "", err
	}
	made, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}, RecoveryConfig: &vault.SealConfig{}})
	if err != nil {
		return nil, "", err
	}
	if _, err := core.Unseal(made.SecretShares[0]); err != nil {
		return nil, "", err
	}
	return core, made.RootToken, nil
}

// plugins is what the core finds of built-in plugins.
type plugins struct{}

const postgres = "postgresql-database-plugin"

func (plugins) Contains(name string, kind consts.PluginType) bool {
	return name == postgres && kind == consts.PluginTypeDatabase
}

func (p plugins) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	return postgresql.New, p.Contains(name, kind)
}

func (plugins) Keys(kind consts.PluginType) []string {
	if kind == consts.PluginTypeDatabase {
		return []string{postgres}
	}
	return nil
}

func (plugins) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}

func (plugins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
