package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog"
)

// cluster is which other nodes a store follows, and by the word of which configurations.
// The zero cluster is that of a single node.
type cluster struct {
	users []clusterUser // configurations that are in use, the newest last
	peers *peers        // that the store follows; nil for none
	log   *redislog.Log // nil for none
}

// clusterUser is a configuration and the nodes that it wants; nil for a single node.
type clusterUser struct {
	app   *App
	peers *peers
}

// connect makes the connection to other nodes.
func (c *cluster) connect(wanted *peers, logger *slog.Logger) error {
	c.peers, c.log = wanted, nil
	if wanted == nil {
		return nil
	}
	var err error
	c.log, err = redislog.Open(redislog.Options{URL: wanted.url, Namespace: wanted.namespace, TLS: wanted.tls, Logger: logger})
	if err != nil {
		return fmt.Errorf("scopegate: %w", err)
	}
	return nil
}

func (c *cluster) close() error {
	if c.log == nil {
		return nil
	}
	return c.log.Close()
}

// options returns what the store is opened with; nil for a single node.
func (c *cluster) options() *store.ClusterOptions {
	if c.peers == nil {
		return nil
	}
	return &store.ClusterOptions{
		Sequencer: c.log, Secret: c.peers.secret, NodeName: c.peers.name, Version: version(), MaxStaleness: c.peers.maxStaleness,
		Applied: processMetrics.applied,
	}
}

// exchange returns what limits are settled through; nil for a single node.
func (c *cluster) exchange() limits.Exchange {
	if c.log == nil {
		return nil
	}
	return c.log
}

// newest returns what the newest configuration wants.
func (c *cluster) newest() *peers {
	if len(c.users) == 0 {
		return c.peers
	}
	return c.users[len(c.users)-1].peers
}

// use makes the store follow the nodes that a configuration wants, until drop.
func (p *pooled) use(app *App, wanted *peers) error {
	p.opening.Lock()
	defer p.opening.Unlock()
	p.cluster.users = append(p.cluster.users, clusterUser{app, wanted})
	return p.follow()
}

// drop forgets a configuration. If it was the newest, for it was rejected, the store
// follows again the nodes that it followed before.
func (p *pooled) drop(app *App) error {
	p.opening.Lock()
	defer p.opening.Unlock()
	p.cluster.users = slices.DeleteFunc(p.cluster.users, func(u clusterUser) bool { return u.app == app })
	return p.follow()
}

// follow makes the store follow the nodes that the newest configuration wants.
func (p *pooled) follow() error {
	wanted, before := p.cluster.newest(), p.cluster
	if wanted == before.peers || wanted != nil && before.peers != nil && *wanted == *before.peers {
		return p.inform()
	}
	if err := p.cluster.connect(wanted, p.logger); err != nil {
		p.cluster.peers, p.cluster.log = before.peers, before.log
		return err
	}
	p.limiter.Follow(p.cluster.exchange())
	err := p.Store().Follow(context.Background(), p.cluster.options())
	if err != nil {
		err = fmt.Errorf("following the nodes that redis names: %w", err)
	}
	return errors.Join(err, p.shareUsage(), p.inform(), before.close())
}
