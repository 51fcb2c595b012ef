/* What a program in C does, with whichever C library it is compiled for. Prints
   a line a name: its addresses, sorted, or what getaddrinfo says instead. */

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MOST 64
#define LENGTH 64

static int compare(const void *one, const void *other) {
    return strcmp(one, other);
}

int main(int count, char **words) {
    for (int n = 1; n < count; n++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
        char texts[MOST][LENGTH];
        int many = 0, error = getaddrinfo(words[n], "80", &hints, &found);
        if (error != 0) {
            printf("%s %s\n", words[n], error == EAI_NONAME ? "no such name"
                                        : error == EAI_AGAIN ? "try again" : "fails");
            continue;
        }
        for (struct addrinfo *one = found; one != NULL && many < MOST; one = one->ai_next)
            if (getnameinfo(one->ai_addr, one->ai_addrlen, texts[many], LENGTH, NULL, 0,
                            NI_NUMERICHOST) == 0)
                many++;
        freeaddrinfo(found);
        qsort(texts, many, LENGTH, compare);
        printf("%s", words[n]);
        for (int k = 0; k < many; k++)
            printf(" %s", texts[k]);
        printf("\n");
    }
    return 0;
}
