-- Sends GET requests, each with a credential drawn at random from a file, and prints what came of it as a line of JSON.
-- With a second argument they have no credential, but the fields that an upstream would get in its place.
-- All of them have the header fields that python-requests sends, as most clients of an API send some.
-- The requests are made up front: on the way out nothing is left to do but to draw one.

local requests = {}

function init(args)
	for credential in io.lines(args[1]) do
		local headers = {
			Host = wrk.host .. ":" .. wrk.port,
			["User-Agent"] = "python-requests/2.32.3",
			["Accept"] = "*/*",
			["Accept-Encoding"] = "gzip, deflate",
			["Connection"] = "keep-alive",
		}
		if args[2] then
			headers["X-Scopegate-Token"] = "tok_" .. credential:sub(5, 26)
			headers["X-Scopegate-Account"] = string.format("account-%06d", #requests / 20)
			headers["X-Scopegate-Api"] = "petstore"
			headers["X-Scopegate-Version"] = "v1"
		else
			headers["Authorization"] = "Bearer " .. credential
		end
		requests[#requests + 1] = wrk.format("GET", wrk.path, headers)
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
