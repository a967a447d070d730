import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** A device in Java: port, client id, root, and then chain and key, or a PKCS#12 file and the file with its password. */
public class Client {
    public static void main(String[] args) throws Exception {
        CertificateFactory certificates = CertificateFactory.getInstance("X.509");
        KeyStore own = KeyStore.getInstance("PKCS12");
        char[] password = new char[0];
        if (args[3].endsWith(".p12")) {
            password = Files.readString(Path.of(args[4])).toCharArray();
            own.load(new FileInputStream(args[3]), password);
        } else {
            own.load(null, null);
            Certificate[] chain = certificates.generateCertificates(new FileInputStream(args[3])).toArray(new Certificate[0]);
            own.setKeyEntry("device", key(args[4]), password, chain);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(own, password);
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        int n = 0;
        for (Certificate root : certificates.generateCertificates(new FileInputStream(args[2]))) {
            trusted.setCertificateEntry("root" + n++, root);
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("localhost", Integer.parseInt(args[0]));
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        socket.setSSLParameters(parameters);
        byte[] id = args[1].getBytes();
        byte[] connect = new byte[14 + id.length];
        byte[] start = {0x10, (byte) (12 + id.length), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, (byte) id.length};
        System.arraycopy(start, 0, connect, 0, start.length);
        System.arraycopy(id, 0, connect, start.length, id.length);
        socket.getOutputStream().write(connect);
        byte[] answer = socket.getInputStream().readNBytes(4);
        System.out.println(socket.getSession().getCipherSuite() + " " + HexFormat.of().formatHex(answer));
    }

    private static PrivateKey key(String file) throws Exception {
        String pem = Files.readString(Path.of(file)).replaceAll("-----[A-Z ]+-----", "");
        PKCS8EncodedKeySpec octets = new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(pem));
        try {
            return KeyFactory.getInstance("EC").generatePrivate(octets);
        } catch (InvalidKeySpecException other) {
            return KeyFactory.getInstance("RSA").generatePrivate(octets);
        }
    }
}
