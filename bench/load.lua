-- Sends GET requests, each with a credential drawn at random from a file, and prints what came of it as a line of JSON.
-- Besides it they have the header fields that python-requests sends, as most clients of an API send some.
-- The requests are made up front: on the way out nothing is left to do but to draw one.

local requests = {}

function init(args)
	for credential in io.lines(args[1]) do
		requests[#requests + 1] = wrk.format("GET", wrk.path, {
			Host = wrk.host .. ":" .. wrk.port,
			Authorization = "Bearer " .. credential,
			["User-Agent"] = "python-requests/2.32.3",
			["Accept"] = "*/*",
			["Accept-Encoding"] = "gzip, deflate",
			["Connection"] = "keep-alive",
		})
	end
	math.randomseed(os.time())
end

function request()
	return requests[math.random(#requests)]
end

function done(summary, latency)
	local errors = summary.errors
	print(string.format('{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"refused":%d,"failed":%d}',
		summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
		errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
