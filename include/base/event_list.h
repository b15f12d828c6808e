/*
 * The events that are counted, one row each. The first seven are those of Office Communications Server 2007 R2
 * ("Events related to DNS, TLS, Federation, Validation, and Client Authentication"); the others are the monitor's own.
 * There is no include guard: define EVENT_ROW, include, undefine.
 *
 *   EVENT_ROW(number, ENUMERATOR, name, Notification, title, count, window, clear)
 *
 * number        FedwEventType of FEDWARDEN-MIB and the index of fedwEventTable; never changes
 * Notification  the pair fedw<Notification>Raised / fedw<Notification>Cleared
 * count         default threshold: this many within the window raise an alarm
 * window        default sliding window in seconds
 * clear         default number of successes in a row that clear the alarm; 0: only a quiet window clears it
 */
EVENT_ROW(1, TLS_OUTGOING, tlsOutgoing, TlsOutgoing, "TLS outgoing connection failures", 3, 900, 2)
EVENT_ROW(2, AUTH_SOURCE, authSource, AuthSource, "Authentication failures from an unknown address", 20, 900, 0)
EVENT_ROW(3, DOMAIN_PARTNER, domainPartner, DomainPartner, "Domain validation failures from a partner", 10, 900, 0)
EVENT_ROW(4, DOMAIN_LOCAL, domainLocal, DomainLocal, "Domain validation failures from the own network", 10, 900, 0)
EVENT_ROW(5, INVALID_CERT, invalidCert, InvalidCert, "Invalid certificates provided by a remote address", 5, 900, 0)
EVENT_ROW(6, CONNECTION, connection, Connection, "Connection failures with a remote server", 3, 900, 2)
EVENT_ROW(7, DNS, dns, Dns, "DNS queries that are not resolved", 3, 900, 2)
EVENT_ROW(8, CERT_EXPIRY, certExpiry, CertExpiry, "Certificates that expire soon", 1, 900, 1)
EVENT_ROW(9, CONFIG_DRIFT, configDrift, ConfigDrift, "Records or certificates that differ from what is expected", 1, 900, 1)
EVENT_ROW(10, MONITOR_SELF, monitorSelf, MonitorSelf, "The monitor cannot do its work", 1, 900, 1)
