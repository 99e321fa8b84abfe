"""Logs on to a WinRM endpoint by Kerberos with pywinrm, whose sealing is done
by MIT's GSS-API here, and says "ok NAME" for each thing that went as it goes
with Windows. The credential cache is that of the environment."""

import base64
import os
import sys

import gssapi
import requests
from gssapi.raw import IOV, IOVBufferType, ChannelBindings, unwrap_iov, wrap_iov
from winrm.encryption import Encryption
from winrm.protocol import Protocol

HTTP = "http://%s/wsman" % os.environ["LAB_HTTP"]
HTTPS = "https://%s/wsman" % os.environ["LAB_HTTPS"]
HOST = os.environ["LAB_SERVICE_HOST"]
CA = os.environ["LAB_CA"]
COMMAND = os.environ["LAB_COMMAND"]
BINDING = bytes.fromhex(os.environ["LAB_BINDING"])
MECHS = {"kerberos": gssapi.OID.from_int_seq("1.2.840.113554.1.2.2"), "spnego": gssapi.OID.from_int_seq("1.3.6.1.5.5.2")}


class Logon(requests.auth.AuthBase):
    """One security context; pywinrm keeps one connection."""

    winrm_encryption_available = True

    def __init__(self, mech, scheme, binding=None):
        name = gssapi.Name("HTTP@" + HOST, gssapi.NameType.hostbased_service)
        flags = [gssapi.RequirementFlag.mutual_authentication, gssapi.RequirementFlag.out_of_sequence_detection,
                 gssapi.RequirementFlag.replay_detection, gssapi.RequirementFlag.confidentiality, gssapi.RequirementFlag.integrity]
        bindings = ChannelBindings(application_data=b"tls-server-end-point:" + binding) if binding else None
        self.context = gssapi.SecurityContext(name=name, mech=MECHS[mech], usage="initiate", flags=flags, channel_bindings=bindings)
        self.scheme = scheme

    def __call__(self, request):
        if not self.context.complete:
            request.headers["Authorization"] = self.scheme + " " + base64.b64encode(self.context.step()).decode()
            request.register_hook("response", self.finish)
        return request

    def finish(self, response, **_):
        if response.status_code == 401:
            return response
        scheme, token = response.headers["WWW-Authenticate"].split(" ")
        if scheme != self.scheme:
            sys.exit("answered by " + scheme)
        self.context.step(base64.b64decode(token))
        if not self.context.complete:
            sys.exit("the logon is not complete")
        return response

    def wrap_winrm(self, _, message):
        iov = IOV(IOVBufferType.header, message, IOVBufferType.padding, std_layout=False)
        wrap_iov(self.context, iov, confidential=True)
        return iov[1].value + (iov[2].value or b""), iov[0].value

    def unwrap_winrm(self, _, message, header):
        iov = IOV((IOVBufferType.header, False, header), message, (IOVBufferType.padding, False, b""), std_layout=False)
        if not unwrap_iov(self.context, iov).encrypted:
            sys.exit("a reply was not encrypted")
        return iov[1].value


def protocol(endpoint, logon, sealed):
    p = Protocol(endpoint=endpoint, transport="basic", username="x", password="x", ca_trust_path=CA, message_encryption="never")
    p.transport.build_session()
    p.transport.session.auth = logon
    p.transport.session.post(endpoint, verify=CA).raise_for_status()
    if sealed:
        p.transport.encryption = Encryption(p.transport.session, "kerberos")
    return p


def works(name, endpoint, logon, sealed):
    p = protocol(endpoint, logon, sealed)
    shell = p.open_shell()
    for _ in range(3):
        command = p.run_command(shell, COMMAND, console_mode_stdin=False, skip_cmd_shell=False)
        out, err, code = p.get_command_output(shell, command)
        p.cleanup_command(shell, command)
        if (out.strip(), code) != (b"hello", 7):
            sys.exit("%s: %r, exit code %r, stderr %r" % (name, out, code, err))
    p.close_shell(shell)
    print("ok", name)


def fails(name, endpoint, logon):
    try:
        protocol(endpoint, logon, False)
    except requests.HTTPError as e:
        if e.response.status_code == 401:
            print("ok", name)
            return
    sys.exit("%s: it was let in" % name)


works("kerberos-sealed", HTTP, Logon("kerberos", "Kerberos"), True)
works("negotiate-sealed", HTTP, Logon("kerberos", "Negotiate"), True)
works("spnego-sealed", HTTP, Logon("spnego", "Negotiate"), True)
works("kerberos-https", HTTPS, Logon("kerberos", "Kerberos", BINDING), False)
fails("kerberos-unbound", HTTPS, Logon("kerberos", "Kerberos"))
fails("kerberos-wrongly-bound", HTTPS, Logon("kerberos", "Kerberos", BINDING[::-1]))
