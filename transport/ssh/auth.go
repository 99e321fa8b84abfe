package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

const hintKnownHosts = "set transport.ssh.knownHosts to a file in known_hosts format, or transport.ssh.hostKey"

// auth lists the ways to log on, and what frees them after the handshake.
func (c Config) auth(ctx context.Context) ([]ssh.AuthMethod, func(), error) {
	var methods []ssh.AuthMethod
	free := func() {}
	if c.Agent != "" {
		sock, err := c.connect(ctx, "unix", c.Agent)
		if err != nil {
			return nil, nil, fmt.Errorf("ask the authentication agent: %w", because(ctx, err))
		}
		stop := context.AfterFunc(ctx, func() { sock.Close() }) // one that waits for its user's finger says nothing
		free = func() {
			stop()
			sock.Close()
		}
		methods = append(methods, ssh.PublicKeysCallback(agent.NewClient(sock).Signers))
	}
	if len(c.Key) > 0 {
		signer, err := c.key()
		if err != nil {
			free()
			return nil, nil, err
		}
		methods = append(methods, ssh.PublicKeys(signer))
	}
	if c.Password != "" {
		methods = append(methods, ssh.Password(c.Password))
	}
	if len(methods) == 0 {
		return nil, nil, errors.New("no key, agent or password: set transport.ssh.key, transport.ssh.agent or transport.password")
	}
	return methods, free, nil
}

func (c Config) key() (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(c.Key)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && c.Passphrase != "" {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(c.Key, []byte(c.Passphrase))
	}
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	return signer, nil
}

// isAuthFailure: the library has no type for the client's side of it.
func isAuthFailure(err error) bool { return strings.Contains(err.Error(), "unable to authenticate") }

// keyError is a host key that is not trusted.
type keyError struct {
	why, hint string
}

func (e *keyError) Error() string { return e.why }

// hostKeys gives the check of the host's key, and the kinds of keys to ask
// for: a host has several, and only some of them may be known.
func (c Config) hostKeys() (ssh.HostKeyCallback, []string, error) {
	if c.Fingerprint != "" {
		return c.pinned, nil, nil
	}
	if c.KnownHosts == "" {
		return nil, nil, errors.New("no file of known hosts")
	}
	known, err := knownhosts.New(c.KnownHosts)
	if err != nil {
		return nil, nil, fmt.Errorf("read known hosts: %w", err)
	}
	check := func(name string, remote net.Addr, key ssh.PublicKey) error {
		return c.explain(known(name, remote, key), key)
	}
	return check, algorithms(known, c.address()), nil
}

func (c Config) pinned(_ string, _ net.Addr, key ssh.PublicKey) error {
	if got := ssh.FingerprintSHA256(key); got != c.Fingerprint {
		return &keyError{"the host has the key " + got + ", not the one of transport.ssh.hostKey",
			"if the host was installed anew, set the new fingerprint; otherwise somebody stands between"}
	}
	return nil
}

// explain tells an unknown key from one that changed.
func (c Config) explain(err error, key ssh.PublicKey) error {
	var unknown *knownhosts.KeyError
	switch print := ssh.FingerprintSHA256(key); {
	case err == nil:
		return nil
	case !errors.As(err, &unknown):
		return &keyError{err.Error(), hintKnownHosts}
	case len(unknown.Want) > 0:
		return &keyError{fmt.Sprintf("the host's key changed: %s is not what line %d of %s says", print, unknown.Want[0].Line, c.KnownHosts),
			"if the host was installed anew, remove that line and add the new key; otherwise somebody stands between"}
	default:
		return &keyError{"the host's key " + print + " is not known",
			fmt.Sprintf("compare it on the host's console (ssh-keygen -lf), then ssh-keyscan -p %d %s >> %s; or set transport.ssh.hostKey", c.Port, c.Address, c.KnownHosts)}
	}
}

// algorithms asks the file, by a key that nobody has, which keys it knows of
// this host. Nil: none, so that the error can name the host's own choice.
func algorithms(known ssh.HostKeyCallback, address string) []string {
	var e *knownhosts.KeyError
	if !errors.As(known(address, nowhere{}, noKey{}), &e) {
		return nil
	}
	var kinds []string
	for _, k := range e.Want {
		if k.Key.Type() == ssh.KeyAlgoRSA { // its signatures with SHA-1 are not asked for
			kinds = append(kinds, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		kinds = append(kinds, k.Key.Type())
	}
	return kinds
}

type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "0.0.0.0:0" }

type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
