package authtest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"strings"
)

// signRSA signs a digest by RSASSA-PKCS1-v1_5 (RS…) or RSASSA-PSS (PS…).
func signRSA(algorithm string, key *rsa.PrivateKey, sum crypto.Hash, digest []byte) ([]byte, error) {
	if strings.HasPrefix(algorithm, "PS") {
		return rsa.SignPSS(rand.Reader, key, sum, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(rand.Reader, key, sum, digest)
}

// hmacOf is what HS256, HS384 and HS512 put in the place of a signature.
func hmacOf(sum crypto.Hash, key, input []byte) []byte {
	h := hmac.New(sum.New, key)
	h.Write(input)
	return h.Sum(nil)
}
