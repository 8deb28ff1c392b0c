package core

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"berth/core/resource"
	"berth/schema"
)

// systemProcedures are made when core starts for the first time, as Komodo does:
// without the second, auto_update would do nothing.
func systemProcedures() []schema.Resource[schema.ProcedureConfig] {
	procedure := func(name, doc, schedule, execution, params string) schema.Resource[schema.ProcedureConfig] {
		c := schema.DefaultProcedure()
		c.Schedule, c.ScheduleAlert = schedule, false
		c.Stages = []schema.ProcedureStage{{Name: "Stage 1", Enabled: true, Executions: []schema.EnabledExecution{
			{Enabled: true, Execution: schema.Execution{Type: execution, Params: json.RawMessage(params)}},
		}}}
		return schema.Resource[schema.ProcedureConfig]{Name: name, Description: doc, Tags: []string{resource.SystemTag}, Config: c}
	}
	backup := procedure("Backup Core Database", "Writes an encrypted backup of core every night. Set backup_recipient or backup_passphrase in core's configuration, then enable the schedule.",
		"Every day at 01:00", "BackupCoreDatabase", "{}")
	backup.Config.ScheduleEnabled = false
	return []schema.Resource[schema.ProcedureConfig]{
		backup,
		procedure("Global Auto Update", "Looks every night for newer images of what has poll_for_updates or auto_update, and deploys the latter.",
			"Every day at 03:00", "GlobalAutoUpdate", `{"skip_auto_update":false}`),
		procedure("Rotate Server Keys", "Gives every server with auto_rotate_keys a new key.", "Every day at 06:00", "RotateAllServerKeys", "{}"),
	}
}

// makeSystemProcedures makes them in a store that nobody has used yet.
func (c *core) makeSystemProcedures(ctx context.Context) error {
	if !c.cfg.SystemProcedures || !c.gate.Fresh(ctx) {
		return nil
	}
	for _, k := range c.registry.Kinds() {
		list, err := k.List(ctx)
		if err != nil || len(list) > 0 {
			return err
		}
	}
	for _, p := range systemProcedures() {
		if _, err := c.kinds.procedures.Put(ctx, p); err != nil {
			return fmt.Errorf("make procedure %q: %w", p.Name, err)
		}
	}
	return nil
}

// zone is the time zone of what names none: an unknown one was refused at the start.
func (c *core) zone() *time.Location {
	if c.cfg.Zone == "" {
		return time.Local
	}
	zone, err := time.LoadLocation(c.cfg.Zone)
	if err != nil {
		return time.Local
	}
	return zone
}
