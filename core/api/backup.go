package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"berth/core/access"
	"berth/schema"
)

// Maintenance is what is done to core itself and is no execution.
type Maintenance interface {
	// TakeBackup writes a backup that the age recipients can open, of size bytes.
	TakeBackup(ctx context.Context, by schema.Actor, recipients []string) (file io.ReadCloser, size int64, err error)
}

type backupParams struct {
	Recipients []string `json:"recipients"`
}

// takeBackup answers POST /backup with a backup of core, encrypted to the
// recipients that the body names. It is whole before the first byte is sent.
func (a *API) takeBackup(w http.ResponseWriter, r *http.Request) {
	row := &Row{Group: GroupExecute, Name: "TakeBackup", Needs: access.IsAdmin}
	who, err := a.caller(r, row)
	if err != nil {
		who.Peer = a.deps.Peers.Of(r)
	}
	ctx := access.WithCaller(r.Context(), who)
	if err == nil {
		err = access.Permit(ctx, access.IsAdmin, schema.Target{})
	}
	var p backupParams
	if err == nil {
		var body []byte
		if body, err = readBody(w, r); err == nil && json.Unmarshal(body, &p) != nil {
			err = badJSON()
		}
	}
	if err != nil {
		a.audit(ctx, row, nil, &auditNote{}, err)
		a.fail(w, r, err)
		return
	}
	f, size, err := a.deps.Maintenance.TakeBackup(ctx, who.Actor, p.Recipients)
	a.audit(ctx, row, nil, &auditNote{}, err)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer func() { _ = f.Close() }()
	secure(w)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if _, err := io.Copy(w, f); err != nil {
		a.deps.Log.Warn("send a backup", "err", err)
	}
}

// Backup takes a backup of core that the recipients can open. The caller closes it
// and must verify it: a connection may break half way.
func (c *Client) Backup(ctx context.Context, recipients ...string) (io.ReadCloser, error) {
	body, err := json.Marshal(backupParams{recipients})
	if err != nil {
		return nil, fmt.Errorf("encode recipients: %w", err)
	}
	res, err := c.send(ctx, http.MethodPost, "/backup", body)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}
