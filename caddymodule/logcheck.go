package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Caddy redacts Authorization in its logs and no other header, and it copies the
// request for them before any handler runs. So a credential in a header of its
// own is in the access log unless the log's format filters it.

// accessLogger is the name that Caddy's access logs have, and errorLogger that of
// the log of failed requests, which has their headers too.
const (
	accessLogger = "http.log.access"
	errorLogger  = "http.log.error"
)

// checkLogs refuses a configuration that would write a credential to an access
// log of a server, to which the handler belongs, and warns about the error log.
func (h *Handler) checkLogs(ctx caddy.Context, server *caddyhttp.Server) error {
	if server.Logs != nil && server.Logs.ShouldLogCredentials && h.readsAuthorization() {
		return errors.New("scopegate: log_credentials would write the credentials of every request to the access log; " +
			"remove it from the global option servers")
	}
	for _, place := range h.Credentials {
		if place.In != "header" {
			continue
		}
		field := http.CanonicalHeaderKey(place.Name)
		if server.Logs != nil {
			loggers, err := accessLoggers(ctx, server.Logs)
			if err != nil {
				return err
			}
			leaking, err := leakingLogs(ctx, field, loggers)
			if err != nil {
				return err
			}
			if len(leaking) > 0 {
				return fmt.Errorf("scopegate: the credentials in the header %s would be written to %s, "+
					"for Caddy redacts Authorization only; add to the block of each:\n%s", field, listLogs(leaking), filterBlock(field))
			}
		}
		if leaking, err := leakingLogs(ctx, field, []string{errorLogger}); err != nil || len(leaking) > 0 {
			h.logger.Warn("requests that fail are logged with the credentials in this header; "+
				"add the filter to the global log block: { log { … } }",
				zap.Strings("logs", leaking), zap.String("header", field), zap.String("filter", filterBlock(field)), zap.Error(err))
		}
	}
	return nil
}

// readsAuthorization reports whether a credential may be in the field Authorization.
func (h *Handler) readsAuthorization() bool {
	return len(h.Credentials) == 0 ||
		slices.ContainsFunc(h.Credentials, func(c CredentialPlace) bool { return c.In != "header" })
}

// listLogs names logs, and says where a Caddyfile has them: it numbers those of
// sites.
func listLogs(names []string) string {
	listed := make([]string, len(names))
	for i, name := range names {
		listed[i] = fmt.Sprintf("the log %q", name)
		if name == caddy.DefaultLoggerName {
			listed[i] += " (the global option log { … }, which also gets requests for hosts that no site names)"
		}
	}
	return strings.Join(listed, " and ")
}

func filterBlock(field string) string {
	return "\tformat filter {\n\t\trequest>headers>" + field + " delete\n\t}"
}

// accessLoggers returns the names of the loggers that a server's access log
// entries may go to: those of its hosts, and those that no host of any server has,
// for a route can choose one with log_name.
func accessLoggers(ctx caddy.Context, logs *caddyhttp.ServerLogConfig) ([]string, error) {
	var loggers []string
	if !logs.SkipUnmappedHosts {
		loggers = append(loggers, accessLoggerOf(logs.DefaultLoggerName))
	}
	for _, names := range logs.LoggerNames {
		for _, name := range names {
			loggers = append(loggers, accessLoggerOf(name))
		}
	}
	ofHosts, err := hostLoggers(ctx)
	if err != nil {
		return nil, err
	}
	configured, err := configuredLogs(&ctx)
	if err != nil {
		return nil, err
	}
	for _, log := range configured {
		for _, logger := range log.Include {
			if strings.HasPrefix(logger, accessLogger+".") && !ofHosts[logger] {
				loggers = append(loggers, logger)
			}
		}
	}
	return loggers, nil
}

func accessLoggerOf(name string) string {
	if name == "" {
		return accessLogger
	}
	return accessLogger + "." + name
}

// hostLoggers returns the names of the loggers that hosts of any server have.
func hostLoggers(ctx caddy.Context) (map[string]bool, error) {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil, fmt.Errorf("scopegate: looking for access logs: %w", err)
	}
	names := make(map[string]bool)
	for _, server := range app.(*caddyhttp.App).Servers { //nolint:forcetypeassert // the only type under this name
		if server.Logs == nil {
			continue
		}
		for _, ofHost := range server.Logs.LoggerNames {
			for _, name := range ofHost {
				names[accessLoggerOf(name)] = true
			}
		}
	}
	return names, nil
}

// leakingLogs returns the names of the configured logs that take entries of one of
// the loggers and write the value of a request header.
func leakingLogs(ctx caddy.Context, field string, loggers []string) ([]string, error) {
	logs, err := configuredLogs(&ctx)
	if err != nil {
		return nil, err
	}
	var leaking []string
	for name, log := range logs {
		if !slices.ContainsFunc(loggers, func(l string) bool { return takes(log, l) }) {
			continue
		}
		leaks, err := writesHeader(log, field)
		if err != nil {
			return nil, err
		}
		if leaks {
			leaking = append(leaking, name)
		}
	}
	slices.Sort(leaking)
	return leaking, nil
}

// takes reports whether a log accepts the entries of a logger, by the longest of
// its rules that names it, as Caddy does.
func takes(log *caddy.CustomLog, logger string) bool {
	longest := func(rules []string) int {
		length := 0
		for _, rule := range rules {
			if strings.HasPrefix(logger+".", rule+".") {
				length = max(length, len(rule))
			}
		}
		return length
	}
	accept, reject := longest(log.Include), longest(log.Exclude)
	if len(log.Include) > 0 && accept == 0 {
		return false
	}
	return accept > reject || reject == 0
}

// writesHeader writes an entry of a request with the header through the log's own
// encoder, and looks whether the value comes out.
func writesHeader(log *caddy.CustomLog, field string) (bool, error) {
	encoder, err := encoderOf(log)
	if err != nil {
		return false, err
	}
	const probe = "scopegate-log-probe"
	request := &http.Request{Method: http.MethodGet, URL: new(url.URL), Header: http.Header{field: {probe}}}
	encoder = encoder.Clone()
	zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: request}).AddTo(encoder)
	line, err := encoder.EncodeEntry(zapcore.Entry{Message: "handled request"}, nil)
	if err != nil {
		return false, fmt.Errorf("scopegate: trying out a log format: %w", err)
	}
	defer line.Free()
	return strings.Contains(line.String(), probe), nil
}

// errLogsHidden is what the check fails with if Caddy is not built as expected.
var errLogsHidden = errors.New("scopegate: this version of Caddy does not show its logs, " +
	"so it cannot be told whether they would contain credentials; use credentials bearer or basic")

// configuredLogs returns the logs of the configuration that is being loaded. Caddy
// keeps it in a field without a name for others, and no function gives it away.
func configuredLogs(ctx *caddy.Context) (map[string]*caddy.CustomLog, error) {
	config, ok := hidden[*caddy.Config](reflect.ValueOf(ctx).Elem(), "cfg")
	if !ok || config == nil || config.Logging == nil {
		return nil, errLogsHidden
	}
	return config.Logging.Logs, nil
}

// encoderOf returns the encoder of a log, which is hidden likewise.
func encoderOf(log *caddy.CustomLog) (zapcore.Encoder, error) {
	encoder, ok := hidden[zapcore.Encoder](reflect.ValueOf(&log.BaseLog).Elem(), "encoder")
	if !ok || encoder == nil {
		return nil, errLogsHidden
	}
	return encoder, nil
}

// hidden reads an unexported field of an addressable struct, if it has one of
// that name and type.
func hidden[T any](structure reflect.Value, name string) (value T, ok bool) {
	field := structure.FieldByName(name)
	if !field.IsValid() || field.Type() != reflect.TypeFor[T]() {
		return value, false
	}
	return *(*T)(unsafe.Pointer(field.UnsafeAddr())), true //nolint:gosec // its type was just compared
}
