// What a JVM application does: the JNDI DNS provider. Prints one line a record.

import java.util.Hashtable;
import javax.naming.Context;
import javax.naming.NameNotFoundException;
import javax.naming.directory.Attribute;
import javax.naming.directory.InitialDirContext;

public class Lookup {
    public static void main(String[] words) throws Exception {
        Hashtable<String, String> env = new Hashtable<>();
        env.put(Context.INITIAL_CONTEXT_FACTORY, "com.sun.jndi.dns.DnsContextFactory");
        env.put(Context.PROVIDER_URL, "dns://" + words[0] + "/");
        InitialDirContext context = new InitialDirContext(env);
        for (int n = 1; n < words.length; n += 2) {
            String type = words[n];
            try {
                Attribute found =
                        context.getAttributes(words[n + 1], new String[] {type}).get(type);
                for (int k = 0; found != null && k < found.size(); k++) {
                    System.out.println(type + " " + found.get(k));
                }
            } catch (NameNotFoundException error) {
                System.out.println(type + " not found");
            }
        }
    }
}
