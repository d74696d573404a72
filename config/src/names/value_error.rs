//! What a text or number of a file is told when it is not legal. Nothing here judges one.

use super::SocketPathError;

/// Why a value is not legal. Its text names the value and what would be legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A value that is needed here is not given.
    #[error("missing")]
    Missing,
    /// A text that must say something is empty.
    #[error("must not be empty")]
    Empty,
    /// A text is longer than what any legal one needs.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The most bytes there may be.
        limit: usize,
    },
    /// A secret is so short that it could be found by trying.
    #[error("shorter than {least} bytes")]
    TooShort {
        /// The fewest bytes there may be.
        least: usize,
    },
    /// A name that could not stand in a header, a label or a log line as it is.
    #[error("contains {character:?}; letters, digits and -_.:/@ are allowed")]
    NameCharacter {
        /// The first character that is not allowed.
        character: char,
    },
    /// A prefix that is not the beginning of a path.
    #[error("must start with \"/\": {text:?}")]
    NoLeadingSlash {
        /// As written.
        text: String,
    },
    /// A prefix that no normalised path can begin with.
    #[error("{text:?} can match no request: {reason}")]
    UnreachablePrefix {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not what a request can ask for.
    #[error("not a path, and perhaps a query, in visible ASCII: {text:?}")]
    NotATarget {
        /// As written.
        text: String,
    },
    /// Not a URL to send requests to.
    #[error("not an absolute http or https URL: {text:?}")]
    NotAnUpstream {
        /// As written, without a user name and password.
        text: String,
    },
    /// A request goes to one place.
    #[error("a route has exactly one of upstream, backend, split, redirect and respond")]
    SeveralDestinations,
    /// It would have no effect.
    #[error("has no effect: the gateway answers this route's requests itself")]
    NotForwarded,
    /// A limit is given or found.
    #[error("has both max_in_flight and adaptive: a limit is either given or found")]
    TwoLimits,
    /// A path is changed in one way.
    #[error("not beside strip_prefix, which changes the path, too")]
    PathChangedTwice,
    /// A path is replaced in one way.
    #[error("has several of path, prefix and regex")]
    SeveralRewrites,
    /// It would have no effect.
    #[error("must not be empty: what it changes is missing")]
    NothingChanged,
    /// An expression and what takes the place of what it matches belong together.
    #[error("regex and with need each other")]
    HalfARewrite,
    /// There is no prefix to be replaced.
    #[error("needs match.path_prefix or match.path: an expression names no prefix")]
    NoPrefixToReplace,
    /// A piece of what was matched that no group of the expression matches.
    #[error("the expression has no group {group:?}")]
    UnknownGroup {
        /// Its name or number.
        group: String,
    },
    /// What stands behind a path.
    #[error("must not contain \"?\" or \"#\", at which a path ends: {text:?}")]
    EndsPath {
        /// As written.
        text: String,
    },
    /// What is resolved or refused, but never sent.
    #[error("must not contain dot segments (\".\" or \"..\" between slashes): {text:?}")]
    DotSegment {
        /// As written.
        text: String,
    },
    /// Answers of that status have no body.
    #[error("must be empty: answers of this status have no body")]
    BodyForbidden,
    /// Not what a body can be.
    #[error("not a media type such as \"text/plain\": {text:?}")]
    NotAMediaType {
        /// As written.
        text: String,
    },
    /// Not what media types can be told by.
    #[error("not media types such as \"text/html\", \"text/*\" or \"application/*+json\": {text:?}")]
    NotAMediaRange {
        /// As written.
        text: String,
    },
    /// Cookies are named by tokens.
    #[error("not the name of a cookie: {text:?}")]
    NotACookie {
        /// As written.
        text: String,
    },
    /// It would have no effect.
    #[error("header, cookie and ip are for the policy hash")]
    NotHashed,
    /// Endpoints are found by one thing.
    #[error("hash needs one of header, cookie and ip: true")]
    NotOneHashKey,
    /// Callers are told apart by one thing.
    #[error("needs one of header, cookie and ip: true")]
    NotOneSplitKey,
    /// It would have no effect.
    #[error("has no effect without a split")]
    NothingSplit,
    /// Neither an address nor a name.
    #[error("not an address or a DNS name: {text:?}")]
    NotAHost {
        /// As written.
        text: String,
    },
    /// A URL with a part that is never sent to an upstream.
    #[error("must not have {part}: {text:?}")]
    UpstreamPart {
        /// "a query", "a fragment", "a user name".
        part: &'static str,
        /// As written, without a user name and password.
        text: String,
    },
    /// Not an address to listen on.
    #[error("not an address to listen on (\"HOST:PORT\", \"[IPV6]:PORT\" or \":PORT\"): {text:?}")]
    NotAnAddress {
        /// As written.
        text: String,
    },
    /// Not an address to accept requests on.
    #[error(
        "not an address to listen on (\"HOST:PORT\", \"[IPV6]:PORT\", \":PORT\" or \"unix:/PATH\"): {text:?}"
    )]
    NotATrafficAddress {
        /// As written.
        text: String,
    },
    /// It depends on where a program is started which socket file is meant.
    #[error("the path of a socket file must start with \"/\": {text:?}")]
    RelativeSocket {
        /// As written.
        text: String,
    },
    /// A socket file cannot have that path.
    #[error(transparent)]
    SocketPath(#[from] SocketPathError),
    /// Not an address of a client.
    #[error("not an IP address: {text:?}")]
    NotAnIpAddress {
        /// As written.
        text: String,
    },
    /// Not an address to connect to.
    #[error("not an address to connect to (\"HOST:PORT\" or \"[IPV6]:PORT\"): {text:?}")]
    NotAServer {
        /// As written.
        text: String,
    },
    /// Not a range of addresses.
    #[error("not an address range such as \"10.0.0.0/8\": {text:?}")]
    NotARange {
        /// As written.
        text: String,
    },
    /// A number or duration outside its range.
    #[error("must be {range}")]
    OutOfRange {
        /// The legal range, in words.
        range: &'static str,
    },
    /// A word that is none of the known ones.
    #[error("must be one of {choices}: {text:?}")]
    UnknownChoice {
        /// The legal words, separated by commas.
        choices: &'static str,
        /// As written.
        text: String,
    },
    /// Not the name of a header field.
    #[error("not the name of a header: {text:?}")]
    NotAHeader {
        /// As written.
        text: String,
    },
    /// A header that nothing but the gateway itself may write.
    #[error("must not be {name:?}, which is not free to be written")]
    ReservedHeader {
        /// In lower case.
        name: String,
    },
    /// Two values that an upstream could not tell apart by their header.
    #[error("the header {name:?} is written by two claims, or is spelled like one that is")]
    SharedHeader {
        /// In lower case.
        name: String,
    },
    /// A variable that does not end.
    #[error("\"${{\" begins a variable that does not end; \"$${{\" stands for itself: {text:?}")]
    OpenVariable {
        /// As written.
        text: String,
    },
    /// A claim where no caller may be known.
    #[error("must not use ${{claim:...}}: answers are written for callers who are not known, too")]
    ClaimInAnswer,
    /// A text that could not stand in a header.
    #[error("contains {character:?}; only visible ASCII characters are allowed")]
    NotVisibleAscii {
        /// The first character that is not one.
        character: char,
    },
    /// A text that could not stand in a line.
    #[error("contains the control character {character:?}")]
    ControlCharacter {
        /// The first of them.
        character: char,
    },
    /// Not a scope of a token.
    #[error("not a scope (visible ASCII without spaces, quotes and backslashes): {text:?}")]
    NotAScope {
        /// As written.
        text: String,
    },
    /// Not an origin that a browser could send.
    #[error("not an origin as browsers send it, such as \"https://app.example.com\": {text:?}")]
    NotAnOrigin {
        /// As written.
        text: String,
    },
    /// Origins beside the one that stands for all.
    #[error("\"*\" allows every origin and stands alone")]
    AnyAmongOthers,
    /// Not the name of a method as requests have it.
    #[error("not a method in capital letters: {text:?}")]
    NotAMethod {
        /// As written.
        text: String,
    },
    /// Not a host as routes name them.
    #[error("not a host such as \"api.example.com\" or \"*.example.com\", without a port: {text:?}")]
    NotAHostPattern {
        /// As written.
        text: String,
    },
    /// Not a regular expression.
    #[error("not a regular expression: {reason}: {text:?}")]
    NotARegex {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A regular expression that costs too much.
    #[error("needs more than {limit} bytes when it is compiled: {text:?}")]
    RegexTooLarge {
        /// As written.
        text: String,
        /// The most bytes there may be.
        limit: usize,
    },
    /// More entries than there may be.
    #[error("{count} entries, more than {limit}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The most there may be.
        limit: usize,
    },
    /// An entry that is there already.
    #[error("has {text:?} twice")]
    Twice {
        /// The entry.
        text: String,
    },
    /// More than one way to say what paths are meant.
    #[error("not beside another path, a prefix or a regular expression")]
    SeveralPaths,
    /// A redirect from addresses that there are not.
    #[error("needs server.tls.addr: without it no address is left for requests in clear")]
    NothingToRedirect,
    /// Not what SHA-256 gives. What was found may be the key itself, so it is not shown.
    #[error("not the SHA-256 of a key: 64 hexadecimal digits")]
    NotAKeyHash,
    /// Not a hash that is looked at. What was found may be the password itself, so it is not shown.
    #[error("not a bcrypt hash (\"$2y$10$...\") and not an Argon2 hash (\"$argon2id$v=19$...\")")]
    NotAPasswordHash,
    /// A hash that takes more work, or less, than a gateway can be asked to do.
    #[error("must be {limits}")]
    PasswordWork {
        /// What there may be.
        limits: &'static str,
    },
    /// Not a moment.
    #[error("not a time such as \"2027-01-31T00:00:00Z\"")]
    NotATime,
    /// A text that could not stand between quotes.
    #[error("contains {character:?}; visible ASCII and spaces without quotes and backslashes are allowed")]
    NotPlainText {
        /// The first character that is not allowed.
        character: char,
    },
    /// A route has one rule for how callers make themselves known.
    #[error("not beside \"any\": a route has one of them")]
    AnyAndAll,
    /// Two credentials in the one place that a request has for them.
    #[error("jwt and basic are both sent in Authorization, of which a request has one")]
    OneAuthorization,
    /// It would have no effect.
    #[error("has no effect: callers do not make themselves known by tokens here")]
    NoTokens,
    /// Nobody is named who could be asked.
    #[error("external needs the section external beside it, which names the service")]
    NoService,
    /// Nothing says whose certificates count.
    #[error("mtls needs the section mtls beside it, which says whose certificates count")]
    NoCertificates,
    /// A section that lets in nobody.
    #[error("missing, as are uris, emails and common_names: nobody would be let in")]
    NoCertificateNames,
    /// It would have no effect.
    #[error("has no effect: mtls is none of the ways in any or all")]
    CertificatesUnasked,
    /// Not a URI, or one that everybody's begins with.
    #[error("not a URI such as \"spiffe://prod.example/ns/shop/*\", with * only behind the last /: {text:?}")]
    NotACertificateUri {
        /// As written.
        text: String,
    },
    /// Not an address of mail.
    #[error("not an address such as \"ops@example.com\" or \"*@example.com\": {text:?}")]
    NotAnEmail {
        /// As written.
        text: String,
    },
    /// More servers than one, which only a cluster has.
    #[error("has several addresses, which needs \"cluster: true\"")]
    NotACluster,
}
