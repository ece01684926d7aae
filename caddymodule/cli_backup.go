package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/store"
)

func backupCommand() *cobra.Command {
	var c connection
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Writes a consistent copy of the store, while it is used",
		Long: `Writes a consistent copy of the store to FILE, mode 0600, while it is used. The copy is
checked before it gets its name. Keep it as you keep the store: it has the digests of
credentials, not the credentials themselves.

Keep the revocations log that stands beside the store as well, if you can: "restore"
uses it to keep revoked what was revoked after the copy was made.`,
		Example: "  caddy scopegate backup /backup/scopegate-$(date +%F).db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			revision, err := writeBackup(args[0], force, func(w io.Writer) error { return c.backup(cmd.Context(), w) })
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has the store at revision %d.\n", args[0], revision)
			return nil
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "Replace FILE if there is one")
	return cmd
}

// backup writes a copy of the store of a server, or of a file.
func (c *connection) backup(ctx context.Context, w io.Writer) error {
	if c.store == "" {
		return c.with(reads, func(from *client) error { return from.download(ctx, "/scopegate/backup", w) })
	}
	return c.withOpen(reads, func(s *store.Store) error {
		_, err := s.Backup(w)
		return err
	})
}

// writeBackup makes a file of what write writes, once it is a whole store.
func writeBackup(name string, force bool, write func(io.Writer) error) (revision uint64, err error) {
	if _, err := os.Lstat(name); err == nil && !force {
		return 0, fmt.Errorf("there is a file %s already; name another one, or replace it with --force", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return 0, fmt.Errorf("writing the backup: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // in vain once it has its name
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, fmt.Errorf("writing the backup: %w", err)
	}
	if revision, err = store.Verify(file.Name()); err != nil {
		return 0, fmt.Errorf("the copy that was made is not whole, and is not kept: %w", err)
	}
	return revision, os.Rename(file.Name(), name)
}

func restoreCommand() *cobra.Command {
	var c connection
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Puts a backup in the place of the store",
		Long: `Puts a backup in the place of the store: of the running server, which goes on deciding
all the while, or with --store of a store file that no server has open.

What was deactivated, deleted or rotated out since the backup stays so: the
revocations log beside the store is replayed over it. Other changes since are lost:
apply the scope file again. The store that was there stays beside the new one, its
name ending in ".before-restore".

On a machine that has no revocations log, --store with --accept-loss goes on without:
what was revoked after the backup is then valid again, and must be revoked again.`,
		Example: `  caddy scopegate restore /backup/scopegate-2026-11-01.db
  caddy scopegate restore /backup/scopegate-2026-11-01.db --store /var/lib/scopegate/scopegate.db --accept-loss`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if acceptLoss && c.store == "" {
				return errors.New("--accept-loss goes with --store: a running server has its revocations log")
			}
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("reading the backup: %w", err)
			}
			defer func() { _ = file.Close() }() // it was only read
			revision, err := c.restore(cmd.Context(), file, acceptLoss)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is restored; the store is at revision %d. Apply the scope file again.\n", args[0], revision)
			return nil
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "Go on without a revocations log, with --store")
	return cmd
}

// restore puts a copy in the place of the store of a server, or of a file.
func (c *connection) restore(ctx context.Context, copied io.Reader, acceptLoss bool) (revision uint64, err error) {
	if c.store == "" {
		var done restored
		err := c.with(changes, func(to *client) error {
			return to.upload(ctx, http.MethodPost, "/scopegate/restore", octets, copied, &done)
		})
		return done.Revision, err
	}
	s, err := store.Restore(ctx, c.store, copied, store.RestoreOptions{AcceptLoss: acceptLoss})
	if err != nil {
		return 0, err
	}
	if snapshot := s.Snapshot(); snapshot != nil {
		revision = snapshot.Revision()
	}
	return revision, s.Close()
}
