package redislog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// dialTimeout is shorter than a call may take, so that a host that does not answer
	// is told from an answer that was lost.
	dialTimeout = 400 * time.Millisecond
	// longest bounds a call whatever its context says; each call has a deadline of its own.
	longest = 30 * time.Second
	// poolSize is enough for one pull, one change and whoever waits for the other nodes.
	poolSize = 8
)

// newClient returns a client for what a URL names. The scripts can be sent twice without
// harm, but what could not be answered is for the store to judge: nothing is retried.
func newClient(text string, trust TLS) (redis.UniversalClient, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, errors.New("redislog: the URL of the Redis has no scheme; write redis://host:6379, rediss://…, redis+sentinel://… or redis+cluster://…")
	}
	base, kind, _ := strings.Cut(scheme, "+")
	plain := base + "://" + rest
	switch kind {
	case "":
		return newSingle(plain, trust)
	case "sentinel":
		return newFailover(plain, trust)
	case "cluster":
		return newCluster(plain, trust)
	}
	return nil, fmt.Errorf("redislog: %q is no scheme of a Redis; write redis, rediss, redis+sentinel or redis+cluster", scheme)
}

func newSingle(text string, trust TLS) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(text)
	if err != nil {
		return nil, redacted(err)
	}
	if o.Dialer, err = trust.dialer(o.TLSConfig); err != nil {
		return nil, err
	}
	o.MaxRetries, o.ContextTimeoutEnabled = -1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, longest, longest
	o.DialerRetries, o.PoolSize = 1, poolSize
	o.MaintNotificationsConfig = noMaintenance()
	client := redis.NewClient(o)
	client.AddHook(outcomes{})
	return client, nil
}

func newFailover(text string, trust TLS) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(text)
	if err != nil {
		return nil, redacted(err)
	}
	if o.MasterName == "" {
		return nil, errors.New("redislog: the URL of the sentinels does not name the master; add ?master_name=NAME")
	}
	if o.Dialer, err = trust.dialer(o.TLSConfig); err != nil {
		return nil, err
	}
	o.MaxRetries, o.ContextTimeoutEnabled = -1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, longest, longest
	o.DialerRetries, o.PoolSize = 1, poolSize
	forEachHost(o.TLSConfig)
	client := redis.NewFailoverClient(o)
	client.AddHook(outcomes{})
	return client, nil
}

func newCluster(text string, trust TLS) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(text)
	if err != nil {
		return nil, redacted(err)
	}
	if o.Dialer, err = trust.dialer(o.TLSConfig); err != nil {
		return nil, err
	}
	o.MaxRetries, o.ContextTimeoutEnabled = -1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, longest, longest
	o.DialerRetries, o.PoolSize = 1, poolSize
	o.MaintNotificationsConfig = noMaintenance()
	forEachHost(o.TLSConfig)
	client := redis.NewClusterClient(o)
	// The client asks who is the master of what once a minute, or when it is told that it
	// asked the wrong one: one that is dead, or cut off from the others, does not tell.
	lookAgain := outcomes{failed: func() { client.ReloadState(context.Background()) }}
	client.OnNewNode(func(node *redis.Client) { node.AddHook(lookAgain) })
	return client, nil
}

// forEachHost lets a certificate be checked against the host that is connected to: the
// client would check that of every host against the name of the first.
func forEachHost(c *tls.Config) {
	if c != nil {
		c.ServerName = ""
	}
}

// noMaintenance switches off what would move connections while a script is answered.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// redacted returns why a URL cannot be read, without the URL: it has a password.
func redacted(err error) error {
	if invalid, ok := errors.AsType[*url.Error](err); ok {
		err = invalid.Err
	}
	return fmt.Errorf("redislog: the URL of the Redis cannot be read: %s", strings.TrimPrefix(err.Error(), "redis: "))
}
