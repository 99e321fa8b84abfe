package wsman

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// reply is a successful answer. undo, if set, takes it back when it could not
// be delivered.
type reply struct {
	envelope []byte
	undo     func()
}

// dispatch performs one operation.
func (s *Server) dispatch(ctx context.Context, r request, c call) (reply, error) {
	s.count(r.action)
	if r.body != nil && r.body.space == nsIdentify && r.body.name == "Identify" {
		return reply{envelope: envelope(r, "", identity("OS: 10.0.20348 SP: 0.0 Stack: 3.0"))}, nil
	}
	if r.resource == resourceConfig && r.action == actionGet {
		return reply{envelope: envelope(r, actionGet+"Response", s.configuration())}, nil
	}
	if r.resource == nsShell && r.action == actionEnumerate {
		return reply{envelope: envelope(r, actionEnumerate+"Response", s.shells.list(c.user))}, nil
	}
	if r.resource != resourceCmd && (r.resource != nsShell || r.action != actionGet) {
		return reply{}, faultf(faultResource, "the resource URI %q was not found", r.resource)
	}
	if r.action == actionCreate {
		return s.create(r, c)
	}
	operation, ok := map[string]func(context.Context, request, *shell) (reply, error){
		actionGet: s.get, actionDelete: s.delete, actionCommand: s.command,
		actionSend: s.send, actionReceive: s.receive, actionSignal: s.signal,
	}[r.action]
	if !ok {
		return reply{}, faultf(faultAction, "the action %q is not supported", r.action)
	}
	sh, err := s.shells.enter(r.selectors["ShellId"])
	if err != nil {
		return reply{}, err
	}
	defer sh.leave()
	return operation(ctx, r, sh)
}

func (s *Server) create(r request, c call) (reply, error) {
	if r.body == nil || r.body.name != "Shell" || r.body.space != nsShell {
		return reply{}, faultf(faultSchema, "the body holds no Shell")
	}
	sh, err := s.shells.create(r.body, c)
	if err != nil {
		return reply{}, err
	}
	body := `<x:ResourceCreated><a:Address>http://` + escape(s.config.Computer) + `/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>` +
		resourceCmd + `</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">` + sh.id + `</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`
	return reply{envelope: envelope(r, actionCreate+"Response", body+sh.describe())}, nil
}

func (s *Server) get(_ context.Context, r request, sh *shell) (reply, error) {
	return reply{envelope: envelope(r, actionGet+"Response", sh.describe())}, nil
}

func (s *Server) delete(_ context.Context, r request, sh *shell) (reply, error) {
	s.shells.remove(sh)
	return reply{envelope: envelope(r, actionDelete+"Response", "")}, nil
}

func (s *Server) command(ctx context.Context, r request, sh *shell) (reply, error) {
	if r.body == nil || r.body.name != "CommandLine" {
		return reply{}, faultf(faultSchema, "the body holds no CommandLine")
	}
	line := []string{r.body.value(nsShell, "Command")}
	for _, c := range r.body.children {
		if c.name == "Arguments" {
			line = append(line, c.content())
		}
	}
	id := strings.ToUpper(r.body.attributes["CommandId"])
	want := Command{Line: strings.Join(line, " "), Direct: r.option("WINRS_SKIP_CMD_SHELL", false), Dir: sh.dir, Env: sh.env}
	cmd, err := s.shells.start(ctx, sh, id, want, r.option("WINRS_CONSOLEMODE_STDIN", true))
	if err != nil {
		return reply{}, err
	}
	body := `<rsp:CommandResponse><rsp:CommandId>` + cmd.id + `</rsp:CommandId></rsp:CommandResponse>`
	return reply{envelope: envelope(r, actionCommand+"Response", body)}, nil
}

func (s *Server) send(ctx context.Context, r request, sh *shell) (reply, error) {
	stream := r.body.child(nsShell, "Stream")
	if stream == nil {
		return reply{}, faultf(faultSchema, "the body holds no Stream")
	}
	if stream.attributes["Name"] != "stdin" {
		return reply{}, faultf(faultParameter, "the stream %q is not an input stream", stream.attributes["Name"])
	}
	cmd, err := sh.find(stream.attributes["CommandId"])
	if err != nil {
		return reply{}, err
	}
	s.faults.sent()
	switch {
	case s.faults.take(func(f *Faults) *int { return &f.LoseShells }):
		s.shells.closeAll()
		return reply{}, faultf(faultNoShell, "the request contains invalid selectors: the shell is gone")
	case s.faults.take(func(f *Faults) *int { return &f.BusySends }):
		return reply{}, faultf(faultBusy, "the requested resource is in use")
	}
	end := strings.EqualFold(stream.attributes["End"], "true")
	if err := cmd.send(ctx, stream.bytes(), end, r.timeout); err != nil {
		return reply{}, err
	}
	if s.faults.take(func(f *Faults) *int { return &f.HoldSends }) {
		return reply{}, timedOut()
	}
	return reply{envelope: envelope(r, actionSend+"Response", `<rsp:SendResponse/>`)}, nil
}

func (s *Server) receive(ctx context.Context, r request, sh *shell) (reply, error) {
	desired := r.body.child(nsShell, "DesiredStream")
	if desired == nil || desired.attributes["CommandId"] == "" {
		return reply{}, faultf(faultParameter, "the parameter is incorrect")
	}
	cmd, err := sh.find(desired.attributes["CommandId"])
	if err != nil {
		return reply{}, err
	}
	out, err := cmd.receive(ctx, r.timeout, (r.maxEnvelope-2<<10)/4*3)
	if err != nil {
		return reply{}, err
	}
	return reply{envelope: envelope(r, actionReceive+"Response", out.body(cmd.id)), undo: func() { cmd.takeBack(out) }}, nil
}

func (s *Server) signal(_ context.Context, r request, sh *shell) (reply, error) {
	if r.body == nil || r.body.name != "Signal" {
		return reply{}, faultf(faultSchema, "the body holds no Signal")
	}
	cmd, err := sh.find(r.body.attributes["CommandId"])
	if err != nil {
		return reply{}, err
	}
	code := r.body.value(nsShell, "Code")
	switch strings.ToLower(code[strings.LastIndex(code, "/")+1:]) {
	case "terminate":
		sh.forget(cmd)
	case "ctrl_c", "ctrl_break":
		cmd.interrupt()
	default:
		return reply{}, faultf(faultParameter, "the signal %q is not known", code)
	}
	return reply{envelope: envelope(r, actionSignal+"Response", `<rsp:SignalResponse/>`)}, nil
}

// identify answers the one question that needs no logon.
func (s *Server) identify(w http.ResponseWriter, body []byte) {
	root, err := parseXML(body)
	var asked *element
	if err == nil {
		asked = root.child(nsSOAP, "Body")
	}
	if asked.child(nsIdentify, "Identify") == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
	_, _ = w.Write(envelope(request{}, "", identity("OS: 0.0.0 SP: 0.0 Stack: 3.0"))) // the client may be gone
}

func identity(version string) string {
	return `<wsmid:IdentifyResponse xmlns:wsmid="` + nsIdentify + `"><wsmid:ProtocolVersion>` + nsWSMan +
		`</wsmid:ProtocolVersion><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor><wsmid:ProductVersion>` +
		version + `</wsmid:ProductVersion></wsmid:IdentifyResponse>`
}

// configuration is the part of the service's configuration that clients read.
func (s *Server) configuration() string {
	l := s.config.Limits
	tag := func(name string, n int) string { return "<cfg:" + name + ">" + strconv.Itoa(n) + "</cfg:" + name + ">" }
	return `<cfg:Config xmlns:cfg="` + nsConfig + `" xml:lang="en-US">` +
		tag("MaxEnvelopeSizekb", l.EnvelopeKB) + tag("MaxTimeoutms", int(maxTimeout.Milliseconds())) + tag("MaxBatchItems", 32000) +
		`<cfg:Service>` + tag("MaxConcurrentOperationsPerUser", l.Operations) + tag("MaxConnections", 300) + tag("MaxPacketRetrievalTimeSeconds", 120) +
		`<cfg:AllowUnencrypted>false</cfg:AllowUnencrypted></cfg:Service>` +
		`<cfg:Winrs><cfg:AllowRemoteShellAccess>true</cfg:AllowRemoteShellAccess>` + tag("IdleTimeout", int(defaultIdle.Milliseconds())) +
		tag("MaxShellsPerUser", l.Shells) + `</cfg:Winrs></cfg:Config>`
}
