/*
 * The closed list of failure reasons, one row each; from it come the enumeration (base/reason.h), the names in
 * configuration, logs and on the command line, the enumeration FedwReason of FEDWARDEN-MIB (a test compares them), the
 * texts of notifications and the manual. There is no include guard: define REASON_ROW, include, undefine.
 *
 *   REASON_ROW(number, ENUMERATOR, name, event, severity, actor, cause, resolution, aliases)
 *
 * number      never changes and is never used again; hundreds are the layer, x99 is "other" of a layer
 * severity    perceived severity of an alarm with this reason (ITU-T X.733)
 * actor       who has to act
 * cause       what happened, at most REASON_CAUSE_MAX octets: it must fit into a notification
 * resolution  what to do, at most REASON_RESOLUTION_MAX octets. In both, words such as "the partner", "The peer" or "one
 *             address" stand for who it is: base/guidance.h puts the name there, where it is known
 * aliases     what else it is called, separated by blanks: HRESULT and its name, Windows error or event number,
 *             X509:n (X509_V_ERR_n of OpenSSL), alert:n (TLS alert description), rcode:n, EDE:n (RFC 8914), the
 *             result types of RFC 8460
 */
REASON_ROW(1, NONE, none, EVENT_NONE, SEVERITY_WARNING, ACTOR_NONE,
           "",
           "",
           "")
REASON_ROW(2, UNCLASSIFIED, unclassified, EVENT_CONNECTION, SEVERITY_WARNING, ACTOR_NETWORK,
           "The failure fits none of the known reasons; its raw text is in the detail.",
           "See detail; repeat with fedwarden check, and report the text so that it gets a reason of its own.",
           "")

/* DNS (1xx): what resolvers answer about the partner. */
REASON_ROW(101, DNS_NX_DOMAIN, dnsNxDomain, EVENT_DNS, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The name does not exist in DNS.",
           "SRV: check the partner domain is spelled right and really federates; ask the partner to publish the record. A: fix the host name in the SRV target or your zone.",
           "0x8007232B 1008 1014 9003 rcode:3")
REASON_ROW(102, DNS_NO_DATA, dnsNoData, EVENT_DNS, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The domain exists but has no record of this type.",
           "Ask the partner to publish the SRV/A/AAAA record, or set a fixed host for this partner in the configuration.",
           "0x8007251D 9501")
REASON_ROW(103, DNS_SERV_FAIL, dnsServFail, EVENT_DNS, SEVERITY_MAJOR, ACTOR_NETWORK,
           "The resolver could not get an answer from the zone's servers.",
           "Query the partner's name servers directly; if they answer, fix your resolver or its path; otherwise tell the partner.",
           "0x8007232A 9002 rcode:2")
REASON_ROW(104, DNS_REFUSED, dnsRefused, EVENT_DNS, SEVERITY_MAJOR, ACTOR_US,
           "The resolver refuses to answer this host.",
           "Allow this host in the resolver's access list or configure another resolver.",
           "0x8007232D 9005 rcode:5")
REASON_ROW(105, DNS_TIMEOUT, dnsTimeout, EVENT_DNS, SEVERITY_MAJOR, ACTOR_NETWORK,
           "No resolver answered in time.",
           "Check resolver addresses, UDP and TCP port 53 through the firewall, and resolver load.",
           "0x800705B4 1460")
REASON_ROW(106, DNS_BOGUS, dnsBogus, EVENT_DNS, SEVERITY_CRITICAL, ACTOR_PARTNER,
           "DNSSEC validation of the answer failed.",
           "Do not disable validation. Tell the partner which record is bogus; check this host's clock and trust anchor first.",
           "EDE:6")
REASON_ROW(107, DNS_SIGNATURE_EXPIRED, dnsSignatureExpired, EVENT_DNS, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The zone's DNSSEC signature has expired.",
           "Ask the partner to re-sign the zone; check this host's clock.",
           "EDE:7")
REASON_ROW(108, DNS_FILTERED, dnsFiltered, EVENT_DNS, SEVERITY_MINOR, ACTOR_US,
           "The resolver blocks or filters this name by policy.",
           "Ask whoever runs the resolver to allow the domain, or use an unfiltered resolver for federation.",
           "EDE:15 EDE:16 EDE:17 EDE:18")
REASON_ROW(109, DNS_UNREACHABLE_AUTHORITY, dnsUnreachableAuthority, EVENT_DNS, SEVERITY_MAJOR, ACTOR_NETWORK,
           "The resolver cannot reach the zone's name servers.",
           "Check routing/firewall to the name servers; if they are down, tell the partner.",
           "EDE:22 EDE:23")
REASON_ROW(110, DNS_SERVICE_DENIED, dnsServiceDenied, EVENT_DNS, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The partner publishes that it does not offer this service.",
           "Confirm with the partner; remove the probe or the partner if federation has ended.",
           "")
REASON_ROW(111, DNS_SRV_FOREIGN_TARGET, dnsSrvForeignTarget, EVENT_DNS, SEVERITY_MINOR, ACTOR_PARTNER,
           "The SRV target is a host outside the partner's domain.",
           "Confirm the host belongs to the partner's provider and list it under allowed targets, or ask for a target inside the domain.",
           "1009")
REASON_ROW(112, DNS_SRV_BAD_TARGET, dnsSrvBadTarget, EVENT_DNS, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The SRV target is an alias, an address literal, or has no address.",
           "Ask the partner to point the SRV at a host name with A/AAAA records.",
           "")
REASON_ROW(113, DNS_UNEXPECTED_ANSWER, dnsUnexpectedAnswer, EVENT_CONFIG_DRIFT, SEVERITY_MINOR, ACTOR_PARTNER,
           "The answer differs from the records you configured.",
           "If the change was announced update the configuration; if not, verify with the partner by another channel.",
           "")
REASON_ROW(114, DNS_MALFORMED, dnsMalformed, EVENT_DNS, SEVERITY_MINOR, ACTOR_NETWORK,
           "The answer could not be parsed or was truncated and TCP failed.",
           "Allow DNS over TCP and large UDP answers; check middleboxes.",
           "9502 rcode:1")
REASON_ROW(115, DNS_LOOP, dnsLoop, EVENT_DNS, SEVERITY_MINOR, ACTOR_PARTNER,
           "Alias chain too long or circular.",
           "Ask the partner to fix the CNAME chain.",
           "")
REASON_ROW(116, DNS_NAME_INVALID, dnsNameInvalid, EVENT_DNS, SEVERITY_WARNING, ACTOR_US,
           "The configured name is not a legal host or domain name.",
           "Correct the name in the configuration.",
           "")
REASON_ROW(117, DNS_NOT_IMPLEMENTED, dnsNotImplemented, EVENT_DNS, SEVERITY_MAJOR, ACTOR_US,
           "The resolver does not support this kind of query.",
           "Use another resolver for federation; check whether a forwarder or load balancer in between drops the query type.",
           "rcode:4")
REASON_ROW(199, DNS_OTHER, dnsOther, EVENT_DNS, SEVERITY_MAJOR, ACTOR_NETWORK,
           "Other resolver failure; see detail.",
           "See detail; repeat the query by hand with the same resolver.",
           "")

/* Transport (2xx): the way to the peer, proxies, and what it first says. */
REASON_ROW(201, TCP_REFUSED, tcpRefused, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The host answers but nothing listens on the port.",
           "Check the port in SRV/configuration; ask the partner whether the edge service is running.",
           "WSAECONNREFUSED 0x8007274D")
REASON_ROW(202, TCP_TIMEOUT, tcpTimeout, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_NETWORK,
           "No answer to the connection attempt; usually a firewall drops it.",
           "Check outbound firewall for this port, then the partner's inbound rules and address list.",
           "WSAETIMEDOUT 0x8007274C")
REASON_ROW(203, TCP_RESET, tcpReset, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer closed the connection right after it opened.",
           "Check the peer's address allow-list and connection limits; look for a device resetting the flow.",
           "WSAECONNRESET 0x80072746")
REASON_ROW(204, NET_UNREACHABLE, netUnreachable, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_US,
           "No route to the network of the partner or of the resolver.",
           "Check local routes and, for IPv6, whether this host has working IPv6.",
           "WSAENETUNREACH 0x80072743")
REASON_ROW(205, HOST_UNREACHABLE, hostUnreachable, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_NETWORK,
           "A router reports the host unreachable.",
           "Trace the path; report to the network owner.",
           "WSAEHOSTUNREACH 0x80072751")
REASON_ROW(206, ADMIN_PROHIBITED, adminProhibited, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_NETWORK,
           "A filter actively rejects the traffic.",
           "Ask the owner of the rejecting hop to permit the flow.",
           "")
REASON_ROW(207, NO_USABLE_ADDRESS, noUsableAddress, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_US,
           "Only addresses of a family this host cannot use.",
           "Enable the address family or ask for a second record.",
           "")
REASON_ROW(208, LOCAL_RESOURCE, localResource, EVENT_CONNECTION, SEVERITY_CRITICAL, ACTOR_US,
           "This monitor ran out of sockets, ports or memory.",
           "Raise limits or lower probe concurrency.",
           "")
REASON_ROW(209, APP_TIMEOUT, appTimeout, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_PARTNER,
           "Connected, but the peer never sent its protocol greeting/reply.",
           "Check for an overloaded or half-dead service, or a proxy that accepts without a backend.",
           "")
REASON_ROW(210, APP_PROTOCOL_ERROR, appProtocolError, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer speaks a different protocol than expected.",
           "Check port and protocol settings; a web server or other service may own the port.",
           "")
REASON_ROW(211, APP_REJECTED, appRejected, EVENT_CONNECTION, SEVERITY_MINOR, ACTOR_PARTNER,
           "The service answered but refused the request.",
           "See the response code in detail; ask the partner whether we are on its allow list.",
           "")
REASON_ROW(212, APP_OVERLOADED, appOverloaded, EVENT_CONNECTION, SEVERITY_MINOR, ACTOR_PARTNER,
           "The partner reports temporary overload.",
           "Wait for Retry-After; inform the partner if it persists.",
           "")
REASON_ROW(220, PROXY_UNREACHABLE, proxyUnreachable, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_US,
           "The configured proxy cannot be reached.",
           "Check proxy address and path; bypass it for this partner if allowed.",
           "")
REASON_ROW(221, PROXY_AUTH_REQUIRED, proxyAuthRequired, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_US,
           "The proxy wants credentials or refused ours.",
           "Set or renew the proxy credentials.",
           "")
REASON_ROW(222, PROXY_DENIED, proxyDenied, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_US,
           "The proxy refuses to open this host and port.",
           "Ask for a CONNECT rule for the partner's port.",
           "")
REASON_ROW(223, TLS_INTERCEPTED, tlsIntercepted, EVENT_CONNECTION, SEVERITY_CRITICAL, ACTOR_US,
           "A local device re-signs the partner's certificate.",
           "Exempt federation traffic from TLS inspection; mutual TLS cannot work through it.",
           "")
REASON_ROW(299, CONNECTION_OTHER, connectionOther, EVENT_CONNECTION, SEVERITY_MAJOR, ACTOR_NETWORK,
           "Other connection failure; see detail.",
           "See detail.",
           "")

/* TLS (3xx): the certificate of the peer, then (35x) the handshake. */
REASON_ROW(301, TLS_UNTRUSTED_ROOT, tlsUntrustedRoot, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_US,
           "The peer's certificate ends in a root this system does not trust.",
           "Decide whether to trust that CA; if yes install its root here, otherwise ask the partner for a certificate from a CA both sides trust.",
           "SEC_E_UNTRUSTED_ROOT 0x80090325 CERT_E_UNTRUSTEDROOT 0x800B0109 1010 36882 X509:19 certificate-not-trusted")
REASON_ROW(302, TLS_INCOMPLETE_CHAIN, tlsIncompleteChain, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer did not send the intermediate certificate.",
           "Ask the partner to send the full chain; as a stop-gap install the named intermediate locally.",
           "CERT_E_CHAINING 0x800B010A X509:20 X509:21")
REASON_ROW(303, TLS_WRONG_PRINCIPAL, tlsWrongPrincipal, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The certificate does not contain the name we connected to.",
           "Compare the names in detail with the SRV target and partner domain; correct the FQDN here or ask for a certificate with that SAN.",
           "SEC_E_WRONG_PRINCIPAL 0x80090322 CERT_E_CN_NO_MATCH 0x800B010F 36884 X509:62 X509:64 certificate-host-mismatch")
REASON_ROW(304, TLS_EXPIRED, tlsExpired, EVENT_TLS_OUTGOING, SEVERITY_CRITICAL, ACTOR_PARTNER,
           "The peer's certificate (or one in its chain) has expired.",
           "Ask the partner to renew; check this host's clock.",
           "SEC_E_CERT_EXPIRED 0x80090328 CERT_E_EXPIRED 0x800B0101 36881 X509:10 certificate-expired")
REASON_ROW(305, TLS_NOT_YET_VALID, tlsNotYetValid, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The certificate is not valid yet.",
           "Check this host's clock; otherwise ask the partner to wait or reinstall.",
           "X509:9")
REASON_ROW(306, TLS_SELF_SIGNED, tlsSelfSigned, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer uses a self-signed certificate.",
           "Ask for a CA-issued certificate, or pin its fingerprint by agreement.",
           "X509:18")
REASON_ROW(307, TLS_REVOKED, tlsRevoked, EVENT_TLS_OUTGOING, SEVERITY_CRITICAL, ACTOR_PARTNER,
           "The certificate authority has revoked the certificate.",
           "Stop trusting it; ask the partner to replace certificate and key at once.",
           "CRYPT_E_REVOKED 0x80092010 CERT_E_REVOKED 0x800B010C 36883 X509:23")
REASON_ROW(308, TLS_REVOCATION_UNKNOWN, tlsRevocationUnknown, EVENT_TLS_OUTGOING, SEVERITY_WARNING, ACTOR_NETWORK,
           "Revocation status could not be obtained.",
           "Allow access to the CRL/OCSP URL; this is not proof of revocation.",
           "CRYPT_E_REVOCATION_OFFLINE 0x80092013 CERT_E_REVOCATION_FAILURE 0x800B010E X509:3 X509:12")
REASON_ROW(309, TLS_WRONG_USAGE, tlsWrongUsage, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The certificate is not allowed for this role (EKU).",
           "Mutual TLS needs server and client authentication usage; ask for a certificate with both.",
           "CERT_E_WRONG_USAGE 0x800B0110 X509:26")
REASON_ROW(310, TLS_WEAK_KEY, tlsWeakKey, EVENT_TLS_OUTGOING, SEVERITY_MINOR, ACTOR_PARTNER,
           "Key too small.",
           "Ask for RSA 2048+/ECDSA P-256+.",
           "X509:66 X509:67")
REASON_ROW(311, TLS_WEAK_SIGNATURE, tlsWeakSignature, EVENT_TLS_OUTGOING, SEVERITY_MINOR, ACTOR_PARTNER,
           "Signed with MD5/SHA-1 or similar.",
           "Ask for reissue with SHA-256 or better.",
           "X509:68")
REASON_ROW(312, TLS_BAD_SIGNATURE, tlsBadSignature, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "Certificate signature does not verify.",
           "Check that the right issuer is installed; the chain may mix old and new CA keys.",
           "X509:7")
REASON_ROW(313, TLS_CONSTRAINT_VIOLATED, tlsConstraintViolated, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "A CA in the chain may not issue this certificate.",
           "Ask the partner/CA to reissue.",
           "X509:25 X509:47 X509:48 X509:79")
REASON_ROW(314, TLS_DANE_MISMATCH, tlsDaneMismatch, EVENT_TLS_OUTGOING, SEVERITY_CRITICAL, ACTOR_PARTNER,
           "Certificate does not match the TLSA record.",
           "Ask the partner to roll TLSA and certificate together.",
           "X509:65 tlsa-invalid")
REASON_ROW(315, TLS_PIN_MISMATCH, tlsPinMismatch, EVENT_CONFIG_DRIFT, SEVERITY_MAJOR, ACTOR_PARTNER,
           "Certificate or issuer differs from the one pinned here.",
           "Verify the change with the partner by another channel, then update the pin.",
           "")
REASON_ROW(316, TLS_EXPIRING_SOON, tlsExpiringSoon, EVENT_CERT_EXPIRY, SEVERITY_WARNING, ACTOR_PARTNER,
           "Certificate expires within the configured number of days.",
           "Ask the partner (or, for your own, renew) before the date in detail.",
           "")
REASON_ROW(317, TLS_NO_CERTIFICATE, tlsNoCertificate, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer presented no certificate.",
           "Inbound: ask the partner to configure its client certificate. Outbound: anonymous ciphers are not acceptable.",
           "")
REASON_ROW(318, TLS_MALFORMED_CERTIFICATE, tlsMalformedCertificate, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "Certificate cannot be parsed.",
           "Ask the partner to reissue.",
           "")
REASON_ROW(319, TLS_DEPTH_EXCEEDED, tlsDepthExceeded, EVENT_TLS_OUTGOING, SEVERITY_MINOR, ACTOR_PARTNER,
           "Chain longer than allowed.",
           "Raise the limit or ask for a shorter chain.",
           "X509:22")
REASON_ROW(320, TLS_UNKNOWN_CRITICAL_EXTENSION, tlsUnknownCriticalExtension, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The certificate has a critical extension that this system does not know.",
           "Ask the partner to reissue without it; find out which software issued it.",
           "X509:34")
REASON_ROW(321, TLS_DISTRUSTED, tlsDistrusted, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_US,
           "The certificate is explicitly distrusted or rejected for this purpose by the local trust store.",
           "Decide whether the distrust is intended; if so, ask the partner for a certificate from another CA.",
           "X509:27 X509:28")
REASON_ROW(350, TLS_NO_SHARED_PROTOCOL, tlsNoSharedProtocol, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "No TLS version in common.",
           "Compare versions; the older side must enable TLS 1.2 or later.",
           "SEC_E_UNSUPPORTED_FUNCTION 0x80090302 alert:70")
REASON_ROW(351, TLS_NO_SHARED_CIPHER, tlsNoSharedCipher, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "No cipher or group in common.",
           "Compare cipher lists; enable a common modern suite.",
           "SEC_E_ALGORITHM_MISMATCH 0x80090331 alert:40 alert:71")
REASON_ROW(352, TLS_CLIENT_CERT_REQUIRED, tlsClientCertRequired, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_US,
           "The peer wants a client certificate and we have none configured.",
           "Configure the edge's certificate and chain for this probe.",
           "alert:116")
REASON_ROW(353, TLS_CLIENT_CERT_REJECTED_CA, tlsClientCertRejectedCa, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_US,
           "The peer does not trust the CA of our certificate.",
           "Send the partner your root/intermediate to install, and check that we send our full chain.",
           "alert:48 certificate-not-trusted")
REASON_ROW(354, TLS_CLIENT_CERT_REJECTED, tlsClientCertRejected, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_US,
           "The peer refused our certificate (see alert in detail).",
           "Check expiry, names and usage of our certificate and whether the partner lists our FQDN.",
           "alert:42 alert:43 alert:44 alert:45 alert:46 alert:49 TlsNegotiationFailure certificate-host-mismatch")
REASON_ROW(355, TLS_CLOSED_DURING_HANDSHAKE, tlsClosedDuringHandshake, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_US,
           "The peer hung up during the handshake, most often because it does not accept our certificate or address.",
           "Ask the partner to look for our certificate in its log; verify their trust of our CA and their allow list.",
           "WSAECONNRESET 1047 RemoteDisconnected")
REASON_ROW(356, TLS_HANDSHAKE_TIMEOUT, tlsHandshakeTimeout, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_NETWORK,
           "TCP opened but the handshake stalled.",
           "Suspect MTU/packet loss with large certificates, or an overloaded peer.",
           "")
REASON_ROW(357, TLS_PLAINTEXT, tlsPlaintext, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer answered without TLS.",
           "Check port; use the STARTTLS probe type if the protocol upgrades.",
           "")
REASON_ROW(358, TLS_START_TLS_NOT_OFFERED, tlsStartTlsNotOffered, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The service does not offer STARTTLS.",
           "Ask the partner to enable it; check for a middlebox that strips it.",
           "starttls-not-supported")
REASON_ROW(359, TLS_START_TLS_REFUSED, tlsStartTlsRefused, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "STARTTLS offered but refused.",
           "See reply in detail; tell the partner.",
           "")
REASON_ROW(360, TLS_SNI_REJECTED, tlsSniRejected, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer does not serve this name.",
           "Check the domain sent as SNI / stream `to`.",
           "alert:112")
REASON_ROW(361, TLS_ALPN_MISMATCH, tlsAlpnMismatch, EVENT_TLS_OUTGOING, SEVERITY_MINOR, ACTOR_PARTNER,
           "No common application protocol.",
           "Check protocol (e.g. xmpp-server).",
           "alert:120")
REASON_ROW(362, TLS_LOCAL_CERTIFICATE_PROBLEM, tlsLocalCertificateProblem, EVENT_TLS_OUTGOING, SEVERITY_CRITICAL, ACTOR_US,
           "Our own certificate or key cannot be loaded or has expired.",
           "Fix path, permissions, key match or renew.",
           "SEC_E_NO_CREDENTIALS 0x8009030E LocalCertificateNotFound certificate-expired")
REASON_ROW(363, TLS_PEER_INTERNAL_ERROR, tlsPeerInternalError, EVENT_TLS_OUTGOING, SEVERITY_MINOR, ACTOR_PARTNER,
           "The peer reports an internal TLS error.",
           "Tell the partner, quote the time.",
           "alert:80")
REASON_ROW(364, TLS_PROTOCOL_VIOLATION, tlsProtocolViolation, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The peer's TLS messages break the protocol or exceed sane limits.",
           "Tell the partner, quote the detail; look for a device in between that alters TLS.",
           "")
REASON_ROW(365, TLS_WEAK_PARAMETERS, tlsWeakParameters, EVENT_TLS_OUTGOING, SEVERITY_MINOR, ACTOR_PARTNER,
           "The peer offers key exchange parameters that are too weak.",
           "Ask the partner to use X25519, P-256 or DH of 2048 bits and more.",
           "")
REASON_ROW(366, TLS_KEY_PROOF_FAILED, tlsKeyProofFailed, EVENT_TLS_OUTGOING, SEVERITY_CRITICAL, ACTOR_PARTNER,
           "The peer could not prove that it holds the key of its certificate.",
           "Treat as possible interception; ask the partner whether certificate and key on every node match.",
           "")
REASON_ROW(367, TLS_REPORTED, tlsReported, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_US,
           "The partner reports (RFC 8460) that its TLS sessions to our servers fail.",
           "See the result type in detail; mend what we offer and publish: STARTTLS, certificate, TLSA, MTA-STS policy, DNSSEC.",
           "validation-failure dane-required dnssec-invalid sts-policy-fetch-error sts-policy-invalid sts-webpki-invalid "
           "starttls-not-supported tlsa-invalid")
REASON_ROW(399, TLS_OTHER, tlsOther, EVENT_TLS_OUTGOING, SEVERITY_MAJOR, ACTOR_PARTNER,
           "Other TLS failure; see detail.",
           "See detail.",
           "")

/* Authentication and authorisation (4xx), seen by the edge. */
REASON_ROW(401, AUTH_BAD_CREDENTIALS, authBadCredentials, EVENT_AUTH_SOURCE, SEVERITY_MINOR, ACTOR_PARTNER,
           "Repeated wrong user name or password from one address.",
           "Find out who owns the address; block it at the firewall or lock the account if it is not yours.",
           "SEC_E_LOGON_DENIED 0x8009030C")
REASON_ROW(402, AUTH_UNKNOWN_USER, authUnknownUser, EVENT_AUTH_SOURCE, SEVERITY_MINOR, ACTOR_PARTNER,
           "Login attempts for users that do not exist.",
           "Typical of scanning: block the source.",
           "1003")
REASON_ROW(403, AUTH_NOT_PERMITTED, authNotPermitted, EVENT_AUTH_SOURCE, SEVERITY_MINOR, ACTOR_PARTNER,
           "Known user or peer tries something it may not do.",
           "Check policy for that user/peer.",
           "1002 1012")
REASON_ROW(404, AUTH_SOURCE_NOT_ALLOWED, authSourceNotAllowed, EVENT_AUTH_SOURCE, SEVERITY_MINOR, ACTOR_PARTNER,
           "Peer address is not on the allow list.",
           "Add the partner's new address, or block.",
           "")
REASON_ROW(405, AUTH_TIME_SKEW, authTimeSkew, EVENT_AUTH_SOURCE, SEVERITY_MINOR, ACTOR_US,
           "Clocks differ too much.",
           "Synchronise time.",
           "SEC_E_TIME_SKEW 0x80090324 1013")
REASON_ROW(406, AUTH_REPLAY, authReplay, EVENT_AUTH_SOURCE, SEVERITY_MAJOR, ACTOR_PARTNER,
           "Old authentication data was sent again.",
           "Treat as attack unless a client clock is wrong.",
           "")
REASON_ROW(407, AUTH_RATE_LIMITED, authRateLimited, EVENT_AUTH_SOURCE, SEVERITY_WARNING, ACTOR_PARTNER,
           "The edge has already blocked the source.",
           "Review whether to keep the block.",
           "")
REASON_ROW(408, AUTH_DIALBACK_FAILED, authDialbackFailed, EVENT_AUTH_SOURCE, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The domain could not be verified by call-back.",
           "Check the partner's DNS and that its server answers for that domain.",
           "")
REASON_ROW(409, AUTH_SASL_EXTERNAL_FAILED, authSaslExternalFailed, EVENT_AUTH_SOURCE, SEVERITY_MAJOR, ACTOR_US,
           "The peer did not accept our certificate as identity.",
           "Check names in our certificate against our domain.",
           "")

/* Domain validation and routing (5xx), seen by the edge. */
REASON_ROW(501, DOM_USER_UNKNOWN, domUserUnknown, EVENT_DOMAIN_PARTNER, SEVERITY_MINOR, ACTOR_PARTNER,
           "Partner sends to users that do not exist here.",
           "Check the addresses; stale contacts are harmless, a wide spread suggests harvesting.",
           "1003")
REASON_ROW(502, DOM_SENDER_NOT_ALLOWED, domSenderNotAllowed, EVENT_DOMAIN_PARTNER, SEVERITY_MAJOR, ACTOR_PARTNER,
           "Partner sends from a domain it is not allowed to use.",
           "Add the domain to this partner if agreed; otherwise report spoofing to the partner.",
           "")
REASON_ROW(503, DOM_RECIPIENT_NOT_LOCAL, domRecipientNotLocal, EVENT_DOMAIN_PARTNER, SEVERITY_MINOR, ACTOR_PARTNER,
           "Partner sends to a domain you do not host.",
           "Check your supported-domains list; ask the partner to correct its route.",
           "")
REASON_ROW(504, DOM_OUTBOUND_UNSUPPORTED, domOutboundUnsupported, EVENT_DOMAIN_LOCAL, SEVERITY_MINOR, ACTOR_US,
           "Your users send to a domain that is not federated.",
           "Federate with that domain or tell the users; correct a misspelt domain.",
           "")
REASON_ROW(505, DOM_OUTBOUND_WRONG_ROUTE, domOutboundWrongRoute, EVENT_DOMAIN_LOCAL, SEVERITY_MAJOR, ACTOR_US,
           "Traffic leaves by a route that cannot reach the domain.",
           "Correct the static route/next hop for this domain on the internal servers.",
           "1005 1007 1027")
REASON_ROW(506, DOM_PARTNER_OVER_LIMIT, domPartnerOverLimit, EVENT_DOMAIN_PARTNER, SEVERITY_MINOR, ACTOR_PARTNER,
           "Discovered partner contacts more users than allowed.",
           "Add it to the allow list, block it, or leave it limited.",
           "14508")
REASON_ROW(507, DOM_BLOCKED_PARTNER, domBlockedPartner, EVENT_DOMAIN_PARTNER, SEVERITY_WARNING, ACTOR_PARTNER,
           "Traffic from a partner you have blocked.",
           "No action, or unblock.",
           "")
REASON_ROW(508, DOM_IDENTITY_MISMATCH, domIdentityMismatch, EVENT_DOMAIN_PARTNER, SEVERITY_MAJOR, ACTOR_PARTNER,
           "The sender domain is not in the peer's certificate.",
           "Ask for a certificate covering the domain, or list the hosting provider as allowed.",
           "")

/* The monitor itself (9xx). */
REASON_ROW(901, MON_CONFIG_INVALID, monConfigInvalid, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "The configuration file has errors; the last good one stays in force.",
           "Run fedwarden check-config, mend what it names, then reload.",
           "")
REASON_ROW(902, MON_FEED_UNREADABLE, monFeedUnreadable, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "A log or socket that feeds the monitor cannot be read.",
           "Check that the file exists and that the fedwarden user may read it.",
           "")
REASON_ROW(903, MON_FEED_UNPARSED, monFeedUnparsed, EVENT_MONITOR_SELF, SEVERITY_WARNING, ACTOR_US,
           "Many lines of a feed match no rule.",
           "Run fedwarden match on the log and add a pattern, or choose the preset of the product.",
           "")
REASON_ROW(904, MON_PROBE_OVERRUN, monProbeOverrun, EVENT_MONITOR_SELF, SEVERITY_WARNING, ACTOR_US,
           "A probe of this partner takes longer than its interval.",
           "Lower the concurrency or the budgets, or lengthen the interval of the partner.",
           "")
REASON_ROW(905, MON_TRUST_STORE_MISSING, monTrustStoreMissing, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "A trust profile has no usable CA certificates.",
           "Install the CA bundle (package ca-certificates) or correct the ca_file of the trust profile.",
           "")
REASON_ROW(906, MON_CLOCK_UNSYNCHRONISED, monClockUnsynchronised, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "The clock of this host jumped or is not synchronised; dates of certificates cannot be judged.",
           "Repair time synchronisation (NTP) on this host.",
           "")
REASON_ROW(907, MON_MASTER_LOST, monMasterLost, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "The SNMP master agent does not answer.",
           "Check that snmpd runs, that it has \"master agentx\", and that its socket may be used by the fedwarden user.",
           "")
REASON_ROW(908, MON_TABLE_FULL, monTableFull, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "A bounded table or queue of the monitor is full; events were dropped and counted.",
           "Raise the limit in the configuration, or find out what floods the monitor.",
           "")
REASON_ROW(909, MON_NETWORK_DOWN, monNetworkDown, EVENT_MONITOR_SELF, SEVERITY_CRITICAL, ACTOR_US,
           "Many partners fail alike at once: the cause is this host or its network. Their own alarms are held back.",
           "Check this host's interfaces, routes, firewall, proxy and limits. Partners that still fail afterwards raise their own alarms then.",
           "")
REASON_ROW(910, MON_RESOLVERS_DOWN, monResolversDown, EVENT_MONITOR_SELF, SEVERITY_CRITICAL, ACTOR_US,
           "The resolvers do not answer this host, whatever partner it asks about. The partners' own alarms are held back.",
           "Check the configured resolvers, their access lists, and UDP and TCP port 53 through the firewall.",
           "")
REASON_ROW(911, MON_HISTORY_LOST, monHistoryLost, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "What the monitor kept over restarts cannot be used. It began anew: counters, indexes, alarms and places in logs.",
           "Find out what damaged the file: the disk, or a copy that was put back. It was set aside, the detail says where. Managers have to read their tables again.",
           "")
REASON_ROW(912, MON_HISTORY_FAILING, monHistoryFailing, EVENT_MONITOR_SELF, SEVERITY_MAJOR, ACTOR_US,
           "The history cannot be written. The monitor goes on in memory; what is not written is lost if it ends now.",
           "Make room on the disk of agent.state_dir, or make it writable again, as the detail says. What is missing is written then, by itself.",
           "")
