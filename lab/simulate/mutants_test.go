package simulate

// mutant is a bug planted into the shipped source when the simulation is
// built: nothing in the source knows of it. All are built into one program,
// which has the one that SHIPPER_SIMULATE_BUG names.
type mutant struct {
	name    string
	promise string
	edits   []edit
	seeds   []uint64 // that are known to catch it
}

// edit replaces a piece of a file; $bug is true in the program with the bug.
type edit struct{ file, old, new string }

func mutants() []mutant {
	return append(hostMutants(), controllerMutants()...)
}

// hostMutants are in the guard and the router.
func hostMutants() []mutant {
	return []mutant{
		{"the router forgets that leases end", "P2", []edit{{"host/router/service.go",
			"return t.route.Lease > 0 && t.remaining(now) <= 0", "return !$bug && t.route.Lease > 0 && t.remaining(now) <= 0"}}, []uint64{146}},
		{"the guard never takes a lost run back", "P2", []edit{{"host/service.go",
			"default:\n\t\tif s.ses != nil {", "default:\n\t\tif s.ses != nil && !$bug {"}}, []uint64{5}},
		{"a lease's end is ignored after a restart", "P2", []edit{{"host/mend.go",
			"s.deadline = s.g.now().Add(min(max(left, 0), s.ses.TTL))",
			"s.deadline = s.g.now().Add(min(max(left, 0), s.ses.TTL))\n\t\tif $bug {\n\t\t\ts.deadline = s.g.now().Add(24 * time.Hour)\n\t\t}"}}, []uint64{146}},
		{"a lease outlives a boot", "P2", []edit{{"host/mend.go",
			"if moved || fresh && !s.ses.Manual {", "if moved || fresh && !s.ses.Manual && !$bug {"}}, []uint64{52}},
		{"a renewal is accepted after expiry", "P2", []edit{{"host/session.go",
			"case s.undoing || s.expired():\n\t\treturn s.refuse", "case !$bug && (s.undoing || s.expired()):\n\t\treturn s.refuse"}}, []uint64{5}},
		{"the fence is not checked", "P5", []edit{{"host/session.go",
			"case f.Fence < s.ses.Fence:", "case $bug && !s.undoing && !s.expired():\n\t\treturn nil\n\tcase f.Fence < s.ses.Fence:"}}, []uint64{45}},
		{"a second run steals the lock", "P5", []edit{{"host/session.go",
			"case s.ses != nil && !s.thaws(p):\n\t\treturn view, nil, s.refuse", "case s.ses != nil && !s.thaws(p) && !$bug:\n\t\treturn view, nil, s.refuse"}}, []uint64{9}},
		{"a commit is believed before it is written", "P2", []edit{{"host/service.go",
			"f(&s.st)\n\tif err := s.save(); err != nil {",
			"f(&s.st)\n\tif $bug {\n\t\tgo func() { time.Sleep(3 * time.Second); s.tell(func() { _ = s.save() }) }()\n\t\treturn nil\n\t}\n\tif err := s.save(); err != nil {"}}, []uint64{1}},
		{"the state is written before the router's table is back", "P3", []edit{{"host/undo.go",
			"routed := s.backToStable(ctx)",
			"if $bug {\n\t\t_ = s.do(ctx, func() error { return s.change(func(st *state) { st.end(e, s.g.now(), 0) }) })\n\t}\n\trouted := s.backToStable(ctx)"}}, []uint64{2}},
		{"the router switches and writes nothing", "one stable", []edit{{"host/router/change.go",
			"return r.store.save(r.lasting(route.Service, &route))", "if $bug {\n\t\treturn nil\n\t}\n\treturn r.store.save(r.lasting(route.Service, &route))"}}, []uint64{14}},
		{"an expired lease leaves nobody", "no all-zero routing", []edit{{"host/router/choose.go",
			"if t.canary == nil || t.route.Lease == 0 || t.expired(now) {", "if $bug && t.canary != nil && t.expired(now) {\n\t\treturn choice{}\n\t}\n\tif t.canary == nil || t.route.Lease == 0 || t.expired(now) {"}}, []uint64{206}},
		{"undo leaves the weight and the slot", "P3", []edit{
			{"host/undo.go", "routed := s.backToStable(ctx)", "var routed error\n\tif !$bug {\n\t\trouted = s.backToStable(ctx)\n\t}"},
			{"host/undo.go", "stop = run.Slot != s.st.Stable", "stop = !$bug && run.Slot != s.st.Stable"}}, []uint64{2}},
		{"failed smoke checks pass", "smoke", []edit{{"host/check.go",
			"if res.StatusCode < 200 || res.StatusCode > 299 {", "if !$bug && (res.StatusCode < 200 || res.StatusCode > 299) {"}}, []uint64{7}},
		{"nothing is drained", "P1", []edit{{"host/traffic.go",
			"view, err := s.g.opts.Router.Drain(ctx, s.name, slot)", "if $bug {\n\t\treturn\n\t}\n\tview, err := s.g.opts.Router.Drain(ctx, s.name, slot)"}}, []uint64{95, 49}},
		{"state files are not flushed", "one stable", []edit{{"host/document.go",
			"return errors.Join(err, f.Sync(), f.Close())", "if $bug {\n\t\t\treturn errors.Join(err, f.Close())\n\t\t}\n\t\treturn errors.Join(err, f.Sync(), f.Close())"}}, []uint64{17}},
		{"releases are not verified after a boot", "P4", []edit{{"host/mend.go",
			"err := s.g.store.Verify(ctx, s.name, rec.Release); err != nil {\n\t\t\treturn s.distrust", "err := s.g.store.Verify(ctx, s.name, rec.Release); err != nil && !$bug {\n\t\t\treturn s.distrust"}}, []uint64{8}},
	}
}

// controllerMutants are in pipeline and rollout.
func controllerMutants() []mutant {
	return []mutant{
		{"hosts commit one by one", "P3", []edit{{"pipeline/execute.go",
			"err := h.call(ctx, d.patience(), func(c *rpc.Client) error { return c.Prepare(ctx, h.fenced(d.run)) })",
			"err := h.call(ctx, d.patience(), func(c *rpc.Client) error { return c.Prepare(ctx, h.fenced(d.run)) })\n\tif $bug {\n\t\terr = d.commit(ctx, h, rollout.Command{})\n\t}"}}, []uint64{127}},
		{"undo is said to be done and is not", "P3", []edit{{"pipeline/execute.go",
			"got, err = c.Undo(ctx,", "if $bug {\n\t\t\treturn nil\n\t\t}\n\t\tgot, err = c.Undo(ctx,"}}, []uint64{2}},
		{"a rollback needs a bundle", "P9", []edit{{"pipeline/rollback.go",
			"Revision: release.Revision{Service: t.Service.Name, Release: r}, Kept: revision,",
			"Revision: release.Revision{Service: t.Service.Name, Release: r}, Kept: map[bool]release.Digest{false: revision}[$bug],"}}, []uint64{14}},
		{"an interruption ends without a name", "named state", []edit{{"pipeline/drive.go",
			"return rollout.Command{Verb: rollout.Finish, State: rollout.Aborted,", "if $bug {\n\t\treturn rollout.Command{Verb: rollout.Finish}\n\t}\n\treturn rollout.Command{Verb: rollout.Finish, State: rollout.Aborted,"}}, []uint64{25}},
		{"too few requests are enough", "P6", []edit{{"rollout/analysis/signal.go",
			"if n < g.MinRequests {\n\t\treturn Inconclusive, text + g.few(\"canary\", n)", "if n < g.MinRequests {\n\t\tif $bug {\n\t\t\treturn Successful, text\n\t\t}\n\t\treturn Inconclusive, text + g.few(\"canary\", n)"}}, []uint64{10}},
	}
}
