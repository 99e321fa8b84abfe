package krb5

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

const maxReferrals = 5 // from realm to realm

// askFirst logs on to the realm (RFC 4120 3.1): the KDC says how it wants the
// key to be made, then gets the time, encrypted with it.
func (l *Login) askFirst(ctx context.Context) (ticket, error) {
	req, err := messages.NewASReqForTGT(l.client.realm, l.cfg, l.client.name)
	if err != nil {
		return ticket{}, err
	}
	answer, err := l.request(ctx, l.client.realm, req.Marshal, false)
	var refused *Error
	if errors.As(err, &refused) && refused.Code == errorcode.KDC_ERR_PREAUTH_REQUIRED {
		if req.PAData, err = l.proof(refused.data); err != nil {
			return ticket{}, err
		}
		answer, err = l.request(ctx, l.client.realm, req.Marshal, true)
	}
	if err != nil {
		return ticket{}, err
	}
	return l.openFirst(req, answer)
}

func (l *Login) request(ctx context.Context, realm string, marshal func() ([]byte, error), proof bool) ([]byte, error) {
	b, err := marshal()
	if err != nil {
		return nil, err
	}
	return l.ask(ctx, realm, b, proof)
}

func (l *Login) openFirst(req messages.ASReq, answer []byte) (t ticket, err error) {
	err = guarded(func() error {
		var rep messages.ASRep
		if err := rep.Unmarshal(answer); err != nil {
			return fmt.Errorf("%w: %w", errToken, err)
		}
		if _, err := rep.Verify(l.cfg, l.secret, req); err != nil {
			return fmt.Errorf("open the KDC's answer, password or keytab may be wrong: %w", err)
		}
		t = ticket{rep.Ticket, rep.DecryptedEncPart.Key, rep.DecryptedEncPart.EndTime}
		return nil
	})
	return t, err
}

// proof is the encrypted time, by the first way of the KDC's that we have a
// key for.
func (l *Login) proof(wishes []byte) (proof types.PADataSequence, err error) {
	err = guarded(func() error {
		key, err := l.key(wishes)
		if err != nil {
			return err
		}
		now, err := types.GetPAEncTSEncAsnMarshalled()
		if err != nil {
			return err
		}
		sealed, err := crypto.GetEncryptedData(now, key, keyusage.AS_REQ_PA_ENC_TIMESTAMP, 0)
		if err != nil {
			return err
		}
		value, err := sealed.Marshal()
		proof = types.PADataSequence{{PADataType: patype.PA_ENC_TIMESTAMP, PADataValue: value}}
		return err
	})
	return proof, err
}

func (l *Login) key(wishes []byte) (types.EncryptionKey, error) {
	var all types.PADataSequence
	if err := all.Unmarshal(wishes); err != nil {
		return types.EncryptionKey{}, fmt.Errorf("%w: %w", errToken, err)
	}
	for _, pa := range all {
		if pa.PADataType != patype.PA_ETYPE_INFO2 {
			continue
		}
		kinds, err := pa.GetETypeInfo2()
		if err != nil {
			return types.EncryptionKey{}, fmt.Errorf("%w: %w", errToken, err)
		}
		for i := range kinds {
			if _, strong := suites[kinds[i].EType]; !strong || i > 0 && l.secret.HasPassword() {
				continue
			}
			if key, err := l.keyOf(kinds[i].EType, all); err == nil {
				return key, nil
			}
		}
	}
	return types.EncryptionKey{}, fmt.Errorf("no key that the KDC of %s takes: %w", l.client.realm, ErrWeak)
}

func (l *Login) keyOf(kind int32, wishes types.PADataSequence) (key types.EncryptionKey, err error) {
	if l.secret.HasPassword() {
		key, _, err = crypto.GetKeyFromPassword(l.secret.Password(), l.client.name, l.client.realm, kind, wishes)
		return key, err
	}
	key, _, err = l.secret.Keytab().GetEncryptionKey(l.client.name, l.client.realm, 0, kind)
	return key, err
}

// askService gets the ticket of a service (RFC 4120 3.3), and follows where
// realms refer to each other (RFC 6806 8).
func (l *Login) askService(ctx context.Context, first ticket, service string) (ticket, error) {
	realm, name := l.client.realm, types.NewPrincipalName(nametype.KRB_NT_SRV_INST, service)
	_, host, _ := strings.Cut(service, "/")
	if other := l.cfg.ResolveRealm(host); other != "" && other != realm {
		between := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, "krbtgt/"+other)
		t, err := l.askTicket(ctx, realm, first, between)
		if err != nil {
			return ticket{}, err
		}
		first, realm = t, other
	}
	for range maxReferrals {
		t, err := l.askTicket(ctx, realm, first, name)
		if err != nil {
			return ticket{}, err
		}
		to := t.ticket.SName.NameString
		if len(to) != 2 || to[0] != "krbtgt" {
			return t, nil
		}
		first, realm = t, to[1]
	}
	return ticket{}, fmt.Errorf("ticket for %s: too many realms refer to each other", service)
}

func (l *Login) askTicket(ctx context.Context, realm string, with ticket, name types.PrincipalName) (t ticket, err error) {
	cfg := *l.cfg
	cfg.LibDefaults.Canonicalize = true // only then do KDCs refer to other realms
	cfg.LibDefaults.DefaultTGSEnctypeIDs = slices.Clone(cfg.LibDefaults.DefaultTGSEnctypeIDs)
	req, err := messages.NewTGSReq(l.client.name, realm, &cfg, with.ticket, with.key, name, false)
	if err != nil {
		return ticket{}, err
	}
	answer, err := l.request(ctx, realm, req.Marshal, false)
	if err != nil {
		return ticket{}, err
	}
	err = guarded(func() error {
		var rep messages.TGSRep
		if err := rep.Unmarshal(answer); err != nil {
			return fmt.Errorf("%w: %w", errToken, err)
		}
		if err := rep.DecryptEncPart(with.key); err != nil {
			return fmt.Errorf("%w: %w", errToken, err)
		}
		if _, err := rep.Verify(&cfg, req); err != nil {
			return fmt.Errorf("%w: %w", errToken, err)
		}
		t = ticket{rep.Ticket, rep.DecryptedEncPart.Key, rep.DecryptedEncPart.EndTime}
		return nil
	})
	return t, err
}
