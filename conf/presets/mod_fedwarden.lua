-- Prosody 0.12 tells fedwarden of failures through its inbox:
--   authSource    wrong passwords of clients, by address, with the user
--   invalidCert   certificates of other servers that connect and are refused, with names, issuer and serial number
--   tlsOutgoing   certificates of servers that we connect to and refuse
--
-- Copy it to a folder of plugin_paths and add "fedwarden" to modules_enabled. Settings, global:
--   fedwarden_command = "fedwarden"              the program
--   fedwarden_socket = "/run/fedwarden/inbox"    inbox.path of fedwarden.conf
--   fedwarden_interval = 5                       seconds between two reports
-- The user prosody must be in the group that inbox.group of fedwarden.conf names.
--
-- Prosody has no SOCK_SEQPACKET sockets, so events are counted and handed to one "fedwarden event -" every few seconds.
-- It runs in the background and its input fits into a pipe, so that Prosody never waits for it. What others chose is
-- JSON on its standard input and never reaches the shell. Whether certificates are refused is what s2s_secure_auth,
-- s2s_secure_domains and s2s_insecure_domains say; where they are not, dialback decides and nothing is told.

module:set_global();

local json = require "util.json";

local KINDS_MAX = 1000; -- events that are told apart between two reports
local BATCH_MAX = 32768; -- octets; a pipe holds 65536
local COUNT_MAX = 1000000;

local command = module:get_option_string("fedwarden_command", "fedwarden");
local socket = module:get_option_string("fedwarden_socket", "/run/fedwarden/inbox");
local interval = module:get_option_number("fedwarden_interval", 5);
local secure_auth = module:get_option_boolean("s2s_secure_auth", false);
local secure_domains = module:get_option_set("s2s_secure_domains", {})._items;
local insecure_domains = module:get_option_set("s2s_insecure_domains", {})._items;

local events, kinds, lost = {}, 0, 0;

local function quote(text)
	return "'" .. text:gsub("'", "'\\''") .. "'";
end

local function cut(text, length)
	return text and tostring(text):sub(1, length):gsub("[\128-\255]", "?") or nil;
end

local function count(event)
	local key = json.encode_ordered(event);
	if not events[key] then
		if kinds >= KINDS_MAX and event.user then
			event.user = nil; -- an attacker has many names but fewer addresses
			return count(event);
		elseif kinds >= KINDS_MAX then
			lost = lost + 1;
			return;
		end
		events[key] = event;
		event.count = 0;
		kinds = kinds + 1;
	end
	events[key].count = math.min(events[key].count + 1, COUNT_MAX);
end

local function send(lines)
	-- The shell ends at once, so that close does not wait; its child keeps the pipe as descriptor 3.
	local pipe, err = io.popen("exec 3<&0; " .. quote(command) .. " event -q --socket " .. quote(socket) ..
		" - <&3 >/dev/null &", "w");
	if not pipe then
		module:log("error", "%s cannot be run: %s", command, err);
		return;
	end
	pipe:write(table.concat(lines, "\n"), "\n");
	pipe:close();
end

local function report()
	local lines, octets = {}, 0;
	for _, event in pairs(events) do
		local line = json.encode(event);
		if octets + #line + 1 > BATCH_MAX then
			send(lines);
			lines, octets = {}, 0;
		end
		lines[#lines + 1] = line;
		octets = octets + #line + 1;
	end
	if #lines > 0 then
		send(lines);
	end
	if lost > 0 then
		module:log("warn", "%d failures of more than %d kinds were not told", lost, KINDS_MAX);
	end
	events, kinds, lost = {}, 0, 0;
	return interval;
end

-- What OpenSSL says of a chain -> reason; the first that fits.
local reasons = {
	{ "revoked", "tlsRevoked" }, { "has expired", "tlsExpired" }, { "not yet valid", "tlsNotYetValid" },
	{ "self.signed certificate in", "tlsUntrustedRoot" }, { "self.signed", "tlsSelfSigned" }, { "purpose", "tlsWrongUsage" },
	{ "local issuer", "tlsUntrustedRoot" }, { "verify the first", "tlsIncompleteChain" },
};

local function chain_reason(errors)
	local texts = {};
	for _, of_depth in pairs(type(errors) == "table" and errors or {}) do
		texts[#texts + 1] = type(of_depth) == "table" and table.concat(of_depth, ", ") or tostring(of_depth);
	end
	local text = table.concat(texts, "; ");
	for _, row in ipairs(reasons) do
		if text:find(row[1]) then
			return row[2], text;
		end
	end
	return "tlsOther", text;
end

local function name_text(parts)
	local texts = {};
	for _, part in ipairs(parts or {}) do
		texts[#texts + 1] = (part.name or part.oid) .. "=" .. part.value;
	end
	return table.concat(texts, ",");
end

local function is_refused(host)
	if secure_auth then
		return not insecure_domains[host];
	end
	return secure_domains[host] or false;
end

-- After mod_s2s_auth_certs (509) has judged and before mod_s2s (-1) refuses, which ends the event.
module:hook("s2s-check-certificate", function(event)
	local session, cert = event.session, event.cert;
	if not is_refused(event.host) or (session.cert_chain_status == "valid" and session.cert_identity_status == "valid") then
		return;
	end
	local reason, text = "tlsNoCertificate", nil;
	if cert and session.cert_chain_status == "valid" then
		reason = "tlsWrongPrincipal";
	elseif cert then
		reason, text = chain_reason(session.cert_chain_errors);
	end
	count {
		event = session.direction == "outgoing" and "tlsOutgoing" or "invalidCert"; reason = reason;
		address = session.ip; domain = cut(event.host, 253); detail = cut(text, 200);
		subject = cert and cut(name_text(cert:subject()), 120); issuer = cert and cut(name_text(cert:issuer()), 120);
		serial = cert and cert:serial();
	};
end, 0);

function module.add_host(host_module)
	host_module:hook("authentication-failure", function(event)
		local session = event.session;
		local handler = session.sasl_handler;
		if session.ip then
			count {
				event = "authSource"; reason = "authBadCredentials"; address = session.ip; target = host_module.host;
				user = cut(handler and handler.username or session.username, 60); detail = cut(event.condition, 100);
			};
		end
	end);
end

module:add_timer(interval, report);
module:hook_global("server-stopping", report);
