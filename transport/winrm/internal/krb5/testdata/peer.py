"""The other end of a Kerberos connection, by MIT's GSS-API: the service whose
keytab KRB5_KTNAME names. Reads one request per line, answers with one line;
bytes are in hex, "-" stands for none.

  accept KIND TOKEN BINDING   KIND is kerberos or negotiate
  iov BYTES                   seal into header and data, as WinRM sends them
  wrap BYTES                  seal into one token
  open HEADER DATA            open what came as header and data
  openwrap TOKEN              open what came as one token
"""

import sys

import gssapi
from gssapi.raw import IOV, IOVBufferType, ChannelBindings, unwrap_iov, wrap_iov

MECHS = {"kerberos": "1.2.840.113554.1.2.2", "negotiate": "1.3.6.1.5.5.2"}


def data(text):
    return None if text == "-" else bytes.fromhex(text)


def show(*parts):
    return " ".join(p.hex() or "-" for p in parts)


class Peer:
    def accept(self, kind, token, binding):
        bindings = ChannelBindings(application_data=data(binding)) if data(binding) else None
        mech = gssapi.OID.from_int_seq(MECHS[kind])
        credentials = gssapi.Credentials(usage="accept", mechs=[mech])
        self.context = gssapi.SecurityContext(creds=credentials, usage="accept", channel_bindings=bindings)
        out = self.context.step(data(token))
        return show(out or b"", str(self.context.initiator_name).encode(), str(int(self.context.actual_flags)).encode())

    def iov(self, plain):
        iov = IOV(IOVBufferType.header, data(plain) or b"", IOVBufferType.padding, std_layout=False)
        wrap_iov(self.context, iov, confidential=True)
        return show(iov[0].value, iov[1].value + (iov[2].value or b""))

    def wrap(self, plain):
        return show(self.context.wrap(data(plain) or b"", True).message)

    def open(self, header, sealed):
        iov = IOV((IOVBufferType.header, False, data(header)), data(sealed) or b"", (IOVBufferType.padding, False, b""), std_layout=False)
        result = unwrap_iov(self.context, iov)
        if not result.encrypted:
            raise ValueError("it was not sealed")
        return show(iov[1].value)

    def openwrap(self, token):
        result = self.context.unwrap(data(token))
        if not result.encrypted:
            raise ValueError("it was not sealed")
        return show(result.message)


peer = Peer()
for line in sys.stdin:
    name, *arguments = line.split()
    try:
        answer = "ok " + getattr(peer, name)(*arguments)
    except Exception as error:  # what went wrong is the answer
        answer = "error " + " ".join(str(error).split())
    print(answer, flush=True)
