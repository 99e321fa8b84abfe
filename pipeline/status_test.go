package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/journal"
)

func TestEntriesAreTheEndsOfRuns(t *testing.T) {
	t.Parallel()
	rec := func(run string, seq int64, kind, host string) journal.Record {
		return journal.Record{V: 1, Seq: seq, Time: time.Unix(1000+seq, 0), Run: run, Type: kind, Host: host}
	}
	result := rec("b", 9, journal.TypeResult, "")
	undone1, undone2 := rec("c", 14, journal.TypeUndone, "web1"), rec("c", 13, journal.TypeUndone, "web2")
	web1 := []journal.Record{rec("b", 2, journal.TypeRunStarted, ""), result, rec("c", 11, journal.TypeRunStarted, ""), undone1}
	web2 := []journal.Record{
		rec("a", 1, journal.TypeUndone, "web2"), rec("b", 2, journal.TypeRunStarted, ""), rec("b", 3, journal.TypeUndone, "web2"),
		undone2, rec("d", 15, journal.TypeRunStarted, ""), rec("d", 16, journal.TypePaused, ""),
	}
	for _, stories := range [][][]journal.Record{{web1, web2}, {web2, web1}} {
		var got []string
		for _, e := range entries(journal.Merge(stories...)) {
			got = append(got, e.Started.Run+":"+e.Result.Type+e.Result.Host)
		}
		if want := "b:result c:undoneweb2 d:"; strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
